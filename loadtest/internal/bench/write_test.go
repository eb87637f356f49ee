package bench

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// The demo data's open raffles.
const firstOpen, openRaffles = 901, 100

// rounds is how often the service and its baseline take turns; the median counts.
const rounds = 3

const measure = 10 * time.Second

// BenchmarkWrite compares accepted bids per second with single-row inserts by pgbench into the same
// table of the same cluster, standby and replicator attached, in turns; and the processor time of a bid with that of the
// commit BENCH_BASE, in turns too.
func BenchmarkWrite(b *testing.B) {
	var stacks []*stack
	for _, v := range builds(b) {
		s := v.startStack(b)
		s.bearer = tokens(b, s.commandAddr)
		s.post(b, s.bearer, engine.Config{VUsers: 64, Duration: 3 * time.Second}) // caches and plans
		stacks = append(stacks, s)
	}
	s := stacks[0]
	var base []float64
	costs := make(costs)
	for round := range rounds {
		base = append(base, s.pgbench(b, measure))
		fmt.Printf("write  round %d: pgbench %8.0f/s\n", round+1, base[round])
		for i := range stacks {
			stacks[(i+round)%len(stacks)].round(b, costs)
		}
	}
	at64, at512 := costs[tree][direct64].values(turn.rate), costs[tree][direct512].values(turn.rate)
	fmt.Printf("write  median ratio to single-row inserts: %.2f at 64 connections, %.2f at 512\n", medianRatio(at64, base), medianRatio(at512, base))
	b.ReportMetric(medianRatio(at64, base), "x-pgbench@64")
	b.ReportMetric(medianRatio(at512, base), "x-pgbench@512")
	costs.compare()
	s.open(b, s.bearer)
	s.lone(b, s.bearer)
	s.settings(b)
}

func medianRatio(ours, base []float64) float64 {
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / base[i]
	}
	slices.Sort(ratios)
	return ratios[len(ratios)/2]
}

// post bids with a fresh key each and fails on any answer but 201.
func (s *stack) post(b *testing.B, bearer []string, c engine.Config) *report.Run {
	b.Helper()
	c.Addr, c.Seed = cmp.Or(c.Addr, s.commandAddr), uint64(time.Now().UnixNano())
	report, err := engine.Run(context.Background(), c, func(u *engine.User) error {
		fillBid(u, c.Addr, bearer)
		return u.Do("bid", isCreated)
	})
	if err != nil {
		b.Fatal(err)
	}
	if step := report.Step("bid"); step.Failed > 0 {
		b.Fatalf("%d bids failed: %v", step.Failed, report.Errors)
	}
	return report
}

func isCreated(r *fasthttp.Response) bool { return r.StatusCode() == fasthttp.StatusCreated }

// fillBid costs the generator as little as it can, because the generator shares the processors with the
// measured service.
func fillBid(u *engine.User, addr string, bearer []string) {
	r := u.Request
	if u.Iteration == 0 {
		r.Header.SetMethod(fasthttp.MethodPost)
		r.Header.SetContentType("application/json")
		r.Header.SetHost(addr)
		r.Header.Set("Authorization", "Bearer "+bearer[u.ID%len(bearer)])
	}
	r.SetRequestURI("/v1/raffles/" + strconv.Itoa(firstOpen+u.Rand.IntN(openRaffles)) + "/bids")
	r.Header.Set("Idempotency-Key", uuid4(u.Rand))
	setBid(u, int64(250+5*u.Rand.IntN(11)))
}

// setBid makes the body that of a bid for the size, at a random price.
func setBid(u *engine.User, size int64) {
	body := u.Request.Body()[:0]
	body = append(body, `{"size":`...)
	body = strconv.AppendInt(body, size, 10)
	body = append(body, `,"price":`...)
	body = strconv.AppendInt(body, int64(1000*(1+u.Rand.IntN(500))), 10)
	u.Request.SetBody(append(body, '}'))
}

// uuid4 is a random UUID (RFC 9562, section 5.4).
func uuid4(r *rand.Rand) string {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], r.Uint64())
	binary.BigEndian.PutUint64(raw[8:], r.Uint64())
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	h := hex.EncodeToString(raw[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// open measures latency from the intended start at 4,000 bids a second.
func (s *stack) open(b *testing.B, bearer []string) {
	b.Helper()
	report := s.post(b, bearer, engine.Config{VUsers: 512, Duration: 2 * measure, Rate: 4000})
	step := report.Step("bid")
	fmt.Printf("write  open model at 4,000/s: %.0f/s, p50 %v, p90 %v, p99 %v, max %v\n",
		report.PerSecond(report.Step("bid").OK), step.Total.At(50), step.Total.At(90), step.Total.At(99), step.Total.At(100))
	b.ReportMetric(float64(step.Total.At(50).Microseconds())/1000, "ms-p50@4000/s")
	b.ReportMetric(float64(step.Total.At(99).Microseconds())/1000, "ms-p99@4000/s")
}

// lone compares one client's bid with the same transaction sent by pgx in one pipeline.
func (s *stack) lone(b *testing.B, bearer []string) {
	b.Helper()
	var ratios []float64
	for range rounds {
		direct := s.pipeline(b, 2000)
		step := s.post(b, bearer[:1], engine.Config{VUsers: 1, Iterations: 2000, Duration: time.Minute}).Step("bid")
		ours := step.Total.At(50)
		ratios = append(ratios, float64(ours)/float64(direct))
		fmt.Printf("write  one client: p50 %v, the same transaction by pgx in one pipeline %v\n", ours, direct)
	}
	slices.Sort(ratios)
	fmt.Printf("write  one client: median ratio %.2f\n", ratios[rounds/2])
	b.ReportMetric(ratios[rounds/2], "x-pipeline@1")
}

// pipeline returns the median time of n transactions, each the lock, the insert, the commit and the
// position, sent at once.
func (s *stack) pipeline(b *testing.B, n int) time.Duration {
	b.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.primary.URL("command"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	r := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	times := make([]time.Duration, n)
	for i := range times {
		raffle := firstOpen + r.IntN(openRaffles)
		batch := &pgx.Batch{}
		batch.Queue("BEGIN")
		batch.Queue("SELECT closed_at FROM raffles WHERE id = $1 FOR SHARE", raffle)
		batch.Queue(`INSERT INTO bids (raffle_id, user_id, size, price, quantity, created_at, idempotency_key, request_hash)
			VALUES ($1, $2, $3, $4, 1, clock_timestamp(), $5, $6) RETURNING id, created_at`,
			raffle, 1+r.IntN(2000), 250+5*r.IntN(11), 1000*(1+r.IntN(500)), uuid4(r), []byte("0123456789abcdef0123456789abcdef"))
		batch.Queue("COMMIT")
		batch.Queue("SELECT pg_current_wal_flush_lsn()::text")
		start := time.Now()
		if err := conn.SendBatch(ctx, batch).Close(); err != nil {
			b.Fatal(err)
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[n/2]
}

var tps = regexp.MustCompile(`tps = ([0-9.]+)`)

// pgbench is the baseline: prepared single-row inserts by 64 clients.
func (s *stack) pgbench(b *testing.B, d time.Duration) float64 {
	b.Helper()
	script := filepath.Join(b.TempDir(), "insert.sql")
	sql := fmt.Sprintf(`\set raffle random(%d, %d)
\set usr random(1, 2000)
\set size 250 + 5 * random(0, 10)
\set price 1000 * random(1, 500)
INSERT INTO bids (raffle_id, user_id, size, price, quantity, created_at, idempotency_key, request_hash) VALUES (:raffle, :usr, :size, :price, 1, clock_timestamp(), gen_random_uuid()::text, '\x30313233343536373839616263646566303132333435363738396162636465663031');
`, firstOpen, firstOpen+openRaffles-1)
	if err := os.WriteFile(script, []byte(sql), 0o600); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), d+30*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, testenv.PostgresTool(b, "pgbench"), "-n", "-M", "prepared", "-c", "64", "-j", "2",
		"-T", strconv.Itoa(int(d.Seconds())), "-f", script, s.primary.URL("command"))
	out, err := testenv.Run(c)
	if err != nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	m := tps.FindSubmatch(out)
	if m == nil {
		b.Fatalf("pgbench printed no rate:\n%s", out)
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

// settings prints what makes a commit durable, as the server has it.
func (s *stack) settings(b *testing.B) {
	b.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.primary.URL("command"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var v string
		if err := conn.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&v); err != nil {
			b.Fatal(err)
		}
		fmt.Printf("write  %s = %s\n", name, v)
	}
}
