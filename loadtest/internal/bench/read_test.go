package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// reads is the whole system for reading.
type reads struct {
	*stack
	pgpool    *testenv.Pgpool
	query     *testenv.Program
	queryAddr string
	lookups   []string // pages of 50 bids, one for each of many raffles and sizes
}

const (
	readTime = 3 * time.Second
	// lookupKeys is how many raffles and sizes with at least a page of bids each are looked up.
	lookupKeys, lookupBids = 10_000, 50
)

// read is one line of the table: a request, and the baseline that answers the same bytes without looking them up.
type read struct {
	name, route string
	paths       []string
	headers     []string
	copyHeaders []string // of the request whose answer the baseline copies: NAME=value of staticserver
	clients     int      // 0: wrkConnections
	want        float64  // at least this part of the baseline's rate; 0: no matter
	least       float64  // or at least so many a second
}

// BenchmarkRead compares every read with a static handler on the same router that writes the same bytes,
// in turns, on the full data set (BENCH_SCALE=demo: on the demo data, which has fewer raffles with 50 bids
// of a size); and its processor time with that of the commit BENCH_BASE.
func BenchmarkRead(b *testing.B) {
	var systems []*reads
	var lists [][]read
	for _, v := range builds(b) {
		s := v.startReads(b)
		systems, lists = append(systems, s), append(lists, s.reads(b))
	}
	s := systems[0]
	fmt.Printf("read   %d raffles and sizes with at least %d bids\n", len(s.lookups), lookupBids)
	for i, r := range lists[0] {
		sides := []side{{s, r}}
		if len(systems) > 1 {
			sides = append(sides, side{systems[1], lists[1][i]})
		}
		compare(b, r, sides)
	}
	s.lookupsByEngine(b)
	s.openWhileWriting(b)
	s.settings(b)
}

func (s *reads) reads(b *testing.B) []read {
	const list, raffle = "/v1/raffles?status=open&limit=1000", "/v1/raffles/%d"
	const lookup = "/v1/raffles/{raffle_id}/bids"
	first := []string{fmt.Sprintf(raffle, s.firstOpen(b))}
	tag := s.entityTag(b, list)
	return []read{
		{name: "hello", paths: []string{"/hello"}, want: 0.75},
		{name: "lookup of 50, redis", route: lookup, paths: s.lookups, want: 0.65},
		{name: "lookup of 50, replica", route: lookup, paths: s.lookups, headers: []string{"Read-Path: replica"}, clients: sqlClients},
		{name: "lookup of 50, standby", route: lookup, paths: s.lookups, headers: []string{"Read-Path: standby"}, clients: sqlClients},
		{name: "1,000 raffles, plain", route: "/v1/raffles", paths: []string{list}, want: 0.8},
		{name: "1,000 raffles, gzip", route: "/v1/raffles", paths: []string{list}, want: 0.8,
			headers: []string{"Accept-Encoding: gzip"}, copyHeaders: []string{"ACCEPT_ENCODING=gzip"}},
		{name: "1,000 raffles, 304", route: "/v1/raffles", paths: []string{list},
			headers: []string{"If-None-Match: " + tag}, copyHeaders: []string{"IF_NONE_MATCH=" + tag}},
		{name: "one raffle", route: "/v1/raffles/{raffle_id}", paths: first},
		{name: "newest 2,000 of a size", route: "/v1/bids", paths: []string{"/v1/bids?size=270&limit=2000"}, clients: heavyClients, least: 2000},
	}
}

func (v *build) startReads(b *testing.B) *reads {
	b.Helper()
	scale := os.Getenv("BENCH_SCALE")
	if scale == "" {
		scale = "full"
	}
	s := &reads{stack: &stack{build: v, primary: v.startPrimary(b), redis: v.startRedis(b)}}
	v.seed(b, s.primary, scale)
	s.standby = s.primary.StartStandby(b, durable...)
	s.pgpool = testenv.StartPgpool(b, s.primary, s.standby)
	s.startReplicator(b)
	s.command, s.commandAddr = v.start(b, "command", v.unlimited(), "PRIMARY_URL="+s.primary.URL("command"), "LOGIN_CORES=2", "JWT_KEYS_DIR="+b.TempDir(), "LOG_LEVEL=warn")
	s.query, s.queryAddr = v.start(b, "query", v.unlimited(), "PRIMARY_URL="+s.primary.URL("query"), "REPLICA_URL="+s.pgpool.URL("query"),
		"STANDBY_URL="+s.standby.URL("query"), "REDIS_URL="+s.redis.URL(), "ALLOW_READ_PATH=true", "LOG_LEVEL=error")
	testenv.Eventually(b, 10*time.Minute, "Redis answers", func() bool {
		return s.head(b, "/v1/raffles").Get("Read-Path") == "redis"
	})
	s.lookups = s.pages(b)
	return s
}

// startReplicator doesn't wait for the read model: the full one may take longer than a start may.
func (s *reads) startReplicator(b *testing.B) {
	b.Helper()
	listen, admin := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b)), fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	s.replicator = testenv.StartProcess(b, testenv.Process{
		Path: s.program(b, "./replicator"), Ready: "http://" + admin + "/livez",
		Env: []string{"LISTEN_ADDR=" + listen, "ADMIN_ADDR=" + admin, "PRIMARY_URL=" + s.primary.URL("replicator"), "REDIS_URL=" + s.redis.URL()},
	})
}

// pages are the first pages of raffles and sizes with enough bids, drawn without regard to their number.
func (s *reads) pages(b *testing.B) []string {
	b.Helper()
	return query(b, s.standby, fmt.Sprintf(`SELECT format('/v1/raffles/%%s/bids?size=%%s&limit=%d', raffle_id, size) FROM bids
		GROUP BY raffle_id, size HAVING count(*) >= %d ORDER BY md5(raffle_id || ' ' || size) LIMIT %d`, lookupBids, lookupBids, lookupKeys), pgx.RowTo[string])
}

func (s *reads) firstOpen(b *testing.B) int64 {
	return query(b, s.standby, "SELECT min(id) FROM raffles WHERE closed_at IS NULL AND starts_at <= now()", pgx.RowTo[int64])[0]
}

func query[T any](b *testing.B, node *testenv.Postgres, sql string, scan pgx.RowToFunc[T]) []T {
	b.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, node.URL("postgres"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		b.Fatal(err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		b.Fatal(err)
	}
	return list
}

func (s *reads) entityTag(b *testing.B, path string) string {
	return s.head(b, path).Get("Etag")
}

// plain asks for no compression, because a compressed answer has another entity tag.
var plain = http.Client{Transport: &http.Transport{DisableCompression: true}}

// head returns the headers of the answer to a GET.
func (s *reads) head(b *testing.B, path string) http.Header {
	b.Helper()
	r, err := plain.Get("http://" + s.queryAddr + path)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		b.Fatal(err)
	}
	return r.Header
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// baseline starts a server of its own process that answers what query answers to the first path.
func (s *reads) baseline(b *testing.B, r read) load {
	b.Helper()
	environment := r.copyHeaders
	if r.route != "" {
		environment = append(environment, "ROUTE="+r.route, "COPY=http://"+s.queryAddr+r.paths[0])
	}
	_, addr := startService(b, "loadtest/internal/bench/staticserver", environment...)
	return load{addr: addr, paths: r.paths, headers: r.headers, clients: cmp.Or(r.clients, wrkConnections)}
}

// used is the processor time so far; pg is everything between query and the rows.
func (s *reads) used(b *testing.B) map[string]time.Duration {
	b.Helper()
	used := map[string]time.Duration{}
	for pid, name := range map[int]string{s.query.PID(): "query", s.redis.PID(): "redis", s.primary.PID(): "pg", s.standby.PID(): "pg", s.pgpool.PID(): "pg"} {
		t, err := treeCPU(pid)
		if err != nil {
			b.Fatal(err)
		}
		used[name] += t
	}
	return used
}

// lookup asks for one of the pages at random.
func (s *reads) lookup(ctx context.Context, c engine.Config) (*report.Run, error) {
	c.Addr, c.Seed = s.queryAddr, uint64(time.Now().UnixNano())
	return engine.Run(ctx, c, func(u *engine.User) error {
		if u.Iteration == 0 {
			u.Request.Header.SetHost(s.queryAddr)
		}
		u.Request.SetRequestURI(s.lookups[u.Rand.IntN(len(s.lookups))])
		return u.Do("lookup", func(r *fasthttp.Response) bool { return r.StatusCode() == fasthttp.StatusOK })
	})
}

// lookupsByEngine is the lookup from Redis once more, by our own generator.
func (s *reads) lookupsByEngine(b *testing.B) {
	b.Helper()
	report, err := s.lookup(b.Context(), engine.Config{VUsers: 64, Duration: readTime})
	if err != nil {
		b.Fatal(err)
	}
	step := report.Step("lookup")
	fmt.Printf("read   lookup of 50 by engine   %7.0f/s with 64 users, p50 %v, p99 %v, %d failed, generator %.0f us\n",
		report.PerSecond(report.Step("lookup").OK), step.Total.At(50), step.Total.At(99), step.Failed,
		float64(report.Generator.CPU.Microseconds())/float64(step.OK))
}

// openWhileWriting measures latency from the intended start at 8,000 lookups a second while 2,000 bids a
// second are written.
func (s *reads) openWhileWriting(b *testing.B) {
	b.Helper()
	type outcome struct {
		report *report.Run
		err    error
	}
	looked := make(chan outcome)
	go func() {
		report, err := s.lookup(b.Context(), engine.Config{VUsers: 256, Duration: measure, Rate: 8000})
		looked <- outcome{report, err}
	}()
	bids := s.bid(b, engine.Config{VUsers: 256, Duration: measure, Rate: 2000})
	o := <-looked
	if o.err != nil {
		b.Fatal(o.err)
	}
	report := o.report
	step := report.Step("lookup")
	fmt.Printf("read   open model at 8,000/s with %.0f bids/s: %.0f/s, p50 %v, p99 %v, max %v, %d failed\n", bids.PerSecond(bids.Step("bid").OK),
		report.PerSecond(report.Step("lookup").OK), step.Total.At(50), step.Total.At(99), step.Total.At(100), step.Failed)
	b.ReportMetric(float64(step.Total.At(50).Microseconds())/1000, "ms-p50@8000/s")
	b.ReportMetric(float64(step.Total.At(99).Microseconds())/1000, "ms-p99@8000/s")
}

// bid writes to the open raffles of the data set.
func (s *reads) bid(b *testing.B, c engine.Config) *report.Run {
	b.Helper()
	bearer := tokens(b, s.commandAddr, 256)
	open := query(b, s.standby, "SELECT format('/v1/raffles/%s/bids', id) FROM raffles WHERE closed_at IS NULL AND starts_at <= now()", pgx.RowTo[string])
	c.Addr, c.Seed = s.commandAddr, uint64(time.Now().UnixNano())
	report, err := engine.Run(b.Context(), c, func(u *engine.User) error {
		fillBid(u, s.commandAddr, bearer)
		u.Request.SetRequestURI(open[u.Rand.IntN(len(open))])
		return u.Do("bid", nil)
	})
	if err != nil {
		b.Fatal(err)
	}
	return report
}
