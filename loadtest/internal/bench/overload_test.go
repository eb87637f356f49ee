package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const (
	// overloadTime is how long each overload lasts; BENCH_SECONDS sets another number of seconds.
	overloadTime = 60 * time.Second
	// window is the time over which accepted bids are counted, because batches make single seconds uneven.
	window = 5 * time.Second
	// slowRate is what the slowed database takes, in bids per second; ten times that is offered.
	slowRate = 2000
	// overloadUsers is more bids than the service holds at once (its queue and its batches under way, 4,096 by
	// default). Otherwise every user would wait in the service in the end, and none would be refused.
	overloadUsers = 6000
)

// BenchmarkOverload offers more bids than the service can place (W4): ten times as many with a slowed database,
// and twice as many with a database at full speed. It fails if an accepted bid is not in the database exactly
// once or if an answer is none of 201, 429 and 503; the rest is printed.
//
// The database is slowed by a bound on the bytes per second on the way to it, so that the time of a statement
// grows with its number of bids and a lone bid is as fast as ever. With a delay instead, a large statement
// would take no longer than a small one, and a service with large batches would hardly notice.
func BenchmarkOverload(b *testing.B) {
	b.Run("slow", func(b *testing.B) {
		s := startOverload(b, true)
		before := s.proxy.Sent()
		calm := s.run(b, engine.Config{VUsers: 512, Duration: 3 * time.Second})
		perBid := float64(s.proxy.Sent()-before) / float64(calm.report.Step("bid").OK)
		s.proxy.SetRate(perBid * slowRate)
		fmt.Printf("slow   the way to the database takes %.0f bytes/s, at %.0f bytes per bid\n", perBid*slowRate, perBid)
		s.overload(b, "slow", 10)
	})
	b.Run("fast", func(b *testing.B) { startOverload(b, false).overload(b, "fast", 2) })
}

// overloaded is the write path, with a proxy before the database if that is to be slowed.
type overloaded struct {
	*stack
	proxy  *testenv.Proxy
	admin  string
	bearer []string
	lastID int64 // before the first run

	mu   sync.Mutex
	runs []*tally
}

func startOverload(b *testing.B, slowed bool) *overloaded {
	b.Helper()
	s := &overloaded{stack: &stack{build: tree, primary: tree.startPrimary(b), redis: tree.startRedis(b)}}
	tree.seed(b, s.primary, "demo")
	s.standby = s.primary.StartStandby(b, durable...)
	s.replicator, _ = startService(b, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URL())
	primary := s.primary.URL("command")
	if slowed {
		s.proxy = testenv.StartProxy(b, s.primary.Addr())
		primary = s.proxy.URL(primary)
	}
	s.admin = fmt.Sprintf("http://127.0.0.1:%d", testenv.FreePort(b))
	s.commandAddr = fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(b))
	s.command = testenv.StartProcess(b, testenv.Process{
		Path: testenv.Binary(b, "./command"), Ready: s.admin + "/readyz",
		Env: []string{"LISTEN_ADDR=" + s.commandAddr, "ADMIN_ADDR=" + strings.TrimPrefix(s.admin, "http://"), "LOG_LEVEL=error",
			"PRIMARY_URL=" + primary, "LOGIN_CORES=2", "JWT_KEYS_DIR=" + b.TempDir()},
	})
	s.bearer = tokens(b, s.commandAddr)
	s.lastID = slices.Max(s.ids(b))
	return s
}

// ids are the ids of the stored bids after lastID, ascending.
func (s *overloaded) ids(b *testing.B) []int64 {
	b.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, s.primary.URL("command"))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, "SELECT id FROM bids WHERE id > $1 ORDER BY id", s.lastID)
	if err != nil {
		b.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		b.Fatal(err)
	}
	return ids
}

// tally counts the answers of one run. The ids are kept per user, because each user has a goroutine of its own.
type tally struct {
	report  *report.Run
	ids     [][]int64
	seconds []atomic.Int64 // accepted bids by the second of the answer
	unfit   atomic.Int64   // refusals without Retry-After and 201s without an id
}

func (s *overloaded) run(b *testing.B, c engine.Config) *tally {
	b.Helper()
	c.Addr, c.Seed, c.Timeout = s.commandAddr, uint64(time.Now().UnixNano()), 20*time.Second
	t := &tally{ids: make([][]int64, c.VUsers), seconds: make([]atomic.Int64, int((c.Duration+c.Timeout)/time.Second)+2)}
	began := time.Now()
	report, err := engine.Run(context.Background(), c, func(u *engine.User) error {
		fillBid(u, s.commandAddr, s.bearer)
		_ = u.Do("bid", func(r *fasthttp.Response) bool { return t.judge(u.ID, r, time.Since(began)) }) // recorded as a failure
		return nil
	})
	if err != nil {
		b.Error(err)
	}
	t.report = report
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = append(s.runs, t)
	return t
}

func (t *tally) judge(user int, r *fasthttp.Response, at time.Duration) bool {
	if r.StatusCode() != fasthttp.StatusCreated {
		if len(r.Header.Peek("Retry-After")) == 0 {
			t.unfit.Add(1)
		}
		return false
	}
	var doc struct {
		ID int64 `json:"id"`
	}
	if err := json.Unmarshal(r.Body(), &doc); err != nil || doc.ID == 0 {
		t.unfit.Add(1)
		return true
	}
	t.ids[user] = append(t.ids[user], doc.ID)
	t.seconds[min(int(at/time.Second), len(t.seconds)-1)].Add(1)
	return true
}

// overload measures the capacity, offers that capacity so many times over, and measures how much of it remains.
func (s *overloaded) overload(b *testing.B, name string, times float64) {
	b.Helper()
	duration := overloadTime
	if text := os.Getenv("BENCH_SECONDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		duration = time.Duration(n) * time.Second
	}
	full := s.run(b, engine.Config{VUsers: 512, Duration: 2 * window}).report
	peak := full.PerSecond(full.Step("bid").OK)
	gentle := engine.Config{VUsers: 64, Duration: 2 * time.Second, Rate: peak / 10}
	calm := s.run(b, gentle).report.Step("bid").Total.At(50)
	fmt.Printf("%s   capacity %.0f/s with 512 users, p50 %v at a tenth of it; now %.0f/s for %v from %d users\n",
		name, peak, calm, times*peak, duration, overloadUsers)

	before, rss := s.scrape(b), []float64{s.rss(b)}
	over := make(chan *tally, 1)
	go func() { over <- s.run(b, engine.Config{VUsers: overloadUsers, Duration: duration, Rate: times * peak}) }()
	for _, wait := range []time.Duration{duration / 6, duration / 3, duration / 2} {
		<-time.After(wait)
		rss = append(rss, s.rss(b))
	}
	gentle.Duration = time.Second
	var after []*tally
	for range 4 { // the overload's last requests are still under way in the first second
		after = append(after, s.run(b, gentle))
	}
	t := <-over
	s.printRates(b, name, t, peak, duration)
	s.printRefusals(b, name, before, s.scrape(b))
	fmt.Printf("%s   RSS of command: %.0f MB before, %.0f after a sixth of the time, %.0f in the middle, %.0f at the end\n",
		name, rss[0], rss[1], rss[2], rss[3])
	b.ReportMetric(rss[3]/rss[1], "x-rss-end-to-sixth")
	printRecovery(b, name, after, calm)
	s.audit(b, name)
}

func (s *overloaded) printRates(b *testing.B, name string, t *tally, peak float64, duration time.Duration) {
	b.Helper()
	step, sum, lowest := t.report.Step("bid"), 0.0, math.Inf(1)
	fmt.Printf("%s   sent %.0f/s; accepted per second, by %v:", name, float64(step.OK+step.Failed)/t.report.Elapsed.Seconds(), window)
	per := int(window / time.Second)
	whole := int(duration/time.Second) / per * per
	for from := 0; from < whole; from += per {
		n := 0.0
		for i := from; i < from+per; i++ {
			n += float64(t.seconds[i].Load())
		}
		sum, lowest = sum+n, min(lowest, n/window.Seconds())
		fmt.Printf(" %.0f", n/window.Seconds())
	}
	mean := sum / float64(max(whole, 1))
	fmt.Printf("\n%s   mean %.2f of the capacity, lowest %.2f; accepted p50 %v, p99 %v from the intended start, %v and %v of service\n",
		name, mean/peak, lowest/peak, step.Total.At(50), step.Total.At(99),
		step.Service.At(50), step.Service.At(99))
	b.ReportMetric(mean/peak, "x-capacity")
	b.ReportMetric(lowest/peak, "x-capacity-lowest")
}

// printRecovery takes a p50 of up to twice the calm one, and 2 ms for the noise, for normal.
func printRecovery(b *testing.B, name string, after []*tally, calm time.Duration) {
	b.Helper()
	normal := len(after)
	fmt.Printf("%s   p50 in the seconds after the overload:", name)
	for second, t := range slices.Backward(after) {
		step := t.report.Step("bid")
		if step.OK > step.Failed && step.Total.At(50) <= 2*calm+2*time.Millisecond && normal == second+1 {
			normal = second
		}
	}
	for _, t := range after {
		step := t.report.Step("bid")
		fmt.Printf(" %v (%d refused)", step.Total.At(50), step.Failed)
	}
	fmt.Printf("; before it %v; normal after %d s\n", calm, normal)
	b.ReportMetric(float64(normal), "s-to-normal")
}

// audit compares every answer of all runs with the database.
func (s *overloaded) audit(b *testing.B, name string) {
	b.Helper()
	stored := s.ids(b)
	accepted, lost, kinds := []int64{}, 0, map[string]int64{}
	for _, t := range s.runs {
		accepted = append(accepted, slices.Concat(t.ids...)...)
		for _, e := range t.report.Errors {
			if e.Step == "bid" {
				kinds[e.Kind] += e.Count
			}
		}
		if n := t.unfit.Load(); n > 0 {
			b.Errorf("%d refusals without Retry-After or 201s without an id", n)
		}
	}
	slices.Sort(accepted)
	for i, id := range accepted {
		at, found := slices.BinarySearch(stored, id)
		if twice := i > 0 && accepted[i-1] == id; !found || twice || at+1 < len(stored) && stored[at+1] == id {
			lost++
		}
	}
	fmt.Printf("%s   %d bids accepted, %d of them not stored exactly once, %d stored without a 201; other answers: %v\n",
		name, len(accepted), lost, len(stored)-len(accepted)+lost, kinds)
	for kind, n := range kinds {
		if kind != "status 503" && kind != "status 429" {
			b.Errorf("%d requests ended with %s", n, kind)
		}
	}
	if lost > 0 {
		b.Errorf("%d accepted bids are not stored exactly once", lost)
	}
}
