package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const (
	freshRate = 4000
	freshTime = 20 * time.Second
	freshWait = 5 * time.Second // for the last bid
	pollEvery = 200 * time.Microsecond
)

// BenchmarkFreshness measures the time from a bid's 201 until the checkpoint in Redis has reached its Commit-LSN, which is
// when a read from Redis shows it, at 4,000 bids a second. Bids start at intended times and each one is a sample, so that
// a stall shows in all bids of its time. One poller notes when it first sees each position of the checkpoint.
func BenchmarkFreshness(b *testing.B) {
	s := startStack(b)
	bearer := tokens(b, s.commandAddr)
	s.post(b, bearer, engine.Config{VUsers: 64, Duration: 3 * time.Second})
	loaded := make(chan steadyLoad, 1)
	go func() { loaded <- s.steady(b, bearer) }()
	seen, load := s.watchCheckpoint(b, loaded)
	sinceStart, since201, err := freshness(load.bids, seen)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("fresh  %.0f bids/s, %d dropped; %d positions of the checkpoint\n", load.report.PerSecond(load.report.Step("bid").OK), load.report.Arrivals.Dropped, len(seen))
	printFreshness("201 to readable in Redis", since201)
	printFreshness("intended start to readable in Redis", sinceStart)
	b.ReportMetric(millis(since201, .5), "ms-p50")
	b.ReportMetric(millis(since201, .99), "ms-p99")
	b.ReportMetric(millis(sinceStart, .5), "ms-p50-from-start")
	b.ReportMetric(millis(sinceStart, .99), "ms-p99-from-start")
}

// millis is a quantile of sorted times.
func millis(sorted []time.Duration, q float64) float64 {
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1000
}

func printFreshness(what string, sorted []time.Duration) {
	fmt.Printf("fresh  %s: p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms of %d samples\n",
		what, millis(sorted, .5), millis(sorted, .9), millis(sorted, .99), millis(sorted, 1), len(sorted))
}

// acknowledged is a bid: its intended start, when its 201 came, and its Commit-LSN.
type acknowledged struct {
	start, answered time.Time
	lsn             uint64
}

// steadyLoad is what came of the bids.
type steadyLoad struct {
	bids   []acknowledged
	report *report.Run
	err    error
}

// steady bids in the open model.
func (s *stack) steady(b *testing.B, bearer []string) (load steadyLoad) {
	b.Helper()
	const users = 512
	start := time.Now().Add(100 * time.Millisecond)
	perUser := make([][]acknowledged, users)
	c := engine.Config{Addr: s.commandAddr, VUsers: users, Duration: freshTime, Rate: freshRate, Seed: 3, Start: start}
	load.report, load.err = engine.Run(b.Context(), c, func(u *engine.User) error {
		fillBid(u, s.commandAddr, bearer)
		return u.Do("bid", func(r *fasthttp.Response) bool {
			answered := time.Now()
			committed, err := lsn.ParsePosition(string(r.Header.Peek("Commit-LSN")))
			if r.StatusCode() != fasthttp.StatusCreated || err != nil {
				return false
			}
			intended := start.Add(time.Duration(u.Arrival) * time.Second / freshRate)
			perUser[u.ID] = append(perUser[u.ID], acknowledged{intended, answered, uint64(committed.LSN)})
			return true
		})
	})
	load.bids = slices.Concat(perUser...)
	if load.err == nil {
		if step := load.report.Step("bid"); step.Failed > 0 || len(load.bids) == 0 {
			load.err = fmt.Errorf("%d bids failed: %v; %d got their 201", step.Failed, load.report.Errors, len(load.bids))
		}
	}
	return load
}

// sighting is when the checkpoint was first seen at a position.
type sighting struct {
	at  time.Time
	lsn uint64
}

// watchCheckpoint polls until the load has ended and the checkpoint has reached its last bid.
func (s *stack) watchCheckpoint(b *testing.B, loaded <-chan steadyLoad) (seen []sighting, load steadyLoad) {
	b.Helper()
	c, err := resp.Dial(b.Context(), resp.Options{Network: "tcp", Addr: s.redis.Addr(), DialTimeout: 5 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var reached, last uint64
	var deadline time.Time
	for last == 0 || reached < last {
		if at := checkpointLSN(b, c); at > reached {
			reached = at
			seen = append(seen, sighting{time.Now(), at})
		}
		if last > 0 && time.Now().After(deadline) {
			b.Fatalf("the last bid is not in Redis after %v", freshWait)
		}
		select {
		case load = <-loaded:
			if load.err != nil {
				b.Fatal(load.err)
			}
			for _, bid := range load.bids {
				last = max(last, bid.lsn)
			}
			deadline = time.Now().Add(freshWait)
		case <-time.After(pollEvery): // without a rest the poller would take a processor from the services
		}
	}
	return seen, load
}

// freshness matches bids with the first sighting at or past their Commit-LSN. Sightings are in order. A bid that was
// readable before its 201 has 0. Both results are sorted.
func freshness(bids []acknowledged, seen []sighting) (sinceStart, since201 []time.Duration, err error) {
	for _, bid := range bids {
		i, _ := slices.BinarySearchFunc(seen, bid.lsn, func(s sighting, at uint64) int { return cmp.Compare(s.lsn, at) })
		if i == len(seen) {
			return nil, nil, fmt.Errorf("the checkpoint was never seen at %X", bid.lsn)
		}
		sinceStart = append(sinceStart, seen[i].at.Sub(bid.start))
		since201 = append(since201, max(0, seen[i].at.Sub(bid.answered)))
	}
	slices.Sort(sinceStart)
	slices.Sort(since201)
	return sinceStart, since201, nil
}

func TestAStallShowsInEveryBidOfItsTime(t *testing.T) {
	const bids, every, answer = 4000, 250 * time.Microsecond, 3 * time.Millisecond
	for name, c := range map[string]struct {
		from, until time.Duration // of the stall
		late        int           // bids that were answered in that time
	}{
		"no stall":          {0, 0, 0},
		"a stall of 500 ms": {200 * time.Millisecond, 700 * time.Millisecond, 2000},
		"a stall of 10 ms":  {200 * time.Millisecond, 210 * time.Millisecond, 40},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			var placed []acknowledged
			var seen []sighting
			for n := range bids {
				start := time.Duration(n) * every
				answered := start + answer
				placed = append(placed, acknowledged{begun.Add(start), begun.Add(answered), uint64(100 + 10*n)})
				// The checkpoint passes each second bid as soon as it is answered.
				if stalled := answered >= c.from && answered < c.until; !stalled && n%2 == 1 {
					seen = append(seen, sighting{begun.Add(answered), uint64(105 + 10*n)})
				}
			}
			sinceStart, since201, err := freshness(placed, seen)
			if err != nil || len(since201) != bids {
				t.Fatalf("%d samples, %v", len(since201), err)
			}
			for i, d := range since201[bids-c.late:] { // in steps of 250 us
				if want := time.Duration(i+1) * every; d < want-every || d > want+every || sinceStart[bids-c.late+i] != d+answer {
					t.Fatalf("late bid %d of %d: %v after its 201, %v after its start, want %v", i, c.late, d, sinceStart[bids-c.late+i], want)
				}
			}
			if d := since201[bids-c.late-1]; d > every {
				t.Errorf("a bid outside of the stall took %v", d)
			}
		})
	}
	if _, _, err := freshness([]acknowledged{{lsn: 11}}, []sighting{{lsn: 10}}); err == nil {
		t.Error("a bid that was never readable is no error")
	}
}

// checkpointLSN is the fifth word of the checkpoint.
func checkpointLSN(b *testing.B, c *resp.Conn) uint64 {
	b.Helper()
	if _, err := c.Write([]byte("GET pyramid:checkpoint\r\n")); err != nil {
		b.Fatal(err)
	}
	reply, err := c.Next()
	if err != nil || reply.Kind != resp.Bulk {
		b.Fatalf("checkpoint: %q, %v", reply.Text, err)
	}
	return parseLSN(b, strings.Fields(string(reply.Text))[4])
}
