package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
)

const (
	freshRate   = 4000
	freshTime   = 20 * time.Second
	sampleEvery = 10 * time.Millisecond
	pollEvery   = 200 * time.Microsecond
)

// BenchmarkFreshness measures the time from a bid's 201 until the checkpoint in Redis has reached its
// Commit-LSN, which is when a read from Redis shows it, while 4,000 other bids arrive every second.
func BenchmarkFreshness(b *testing.B) {
	s := startStack(b)
	bearer := tokens(b, s.commandAddr, 64)
	s.post(b, bearer, engine.Config{VUsers: 64, Duration: 3 * time.Second})
	others := make(chan *engine.Report, 1)
	ctx, cancel := context.WithTimeout(context.Background(), freshTime)
	defer cancel()
	go func() {
		report, err := engine.Run(ctx, engine.Config{Addr: s.commandAddr, VUsers: 512, Duration: freshTime, Rate: freshRate, Seed: 3}, func(u *engine.User) error {
			fillBid(u, s.commandAddr, bearer)
			return u.Do("bid", func(r *fasthttp.Response) bool { return r.StatusCode() == fasthttp.StatusCreated })
		})
		if err != nil {
			b.Error(err)
		}
		others <- report
	}()
	took := s.samples(ctx, b, bearer[0])
	report := <-others
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	fmt.Printf("fresh  %.0f bids/s; %d samples, 201 to readable in Redis: p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n",
		report.PerSecond("bid"), len(took), at(.5), at(.9), at(.99), at(1))
	b.ReportMetric(at(.5), "ms-p50")
	b.ReportMetric(at(.99), "ms-p99")
}

// samples bids alone, again and again, and waits for each bid to be readable.
func (s *stack) samples(ctx context.Context, b *testing.B, bearer string) (took []time.Duration) {
	b.Helper()
	c, err := resp.Dial(ctx, resp.Options{Network: "tcp", Addr: s.redis.Addr(), DialTimeout: 5 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	random := rand.New(rand.NewPCG(9, 9))
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		request.SetRequestURI(fmt.Sprintf("http://%s/v1/raffles/%d/bids", s.commandAddr, firstOpen+random.IntN(openRaffles)))
		request.Header.SetMethod(fasthttp.MethodPost)
		request.Header.SetContentType("application/json")
		request.Header.Set("Authorization", "Bearer "+bearer)
		request.Header.Set("Idempotency-Key", uuid4(random))
		request.SetBodyString(`{"size":270,"price":1000}`)
		if err := fasthttp.Do(request, response); err != nil || response.StatusCode() != fasthttp.StatusCreated {
			b.Fatalf("%d %s %v", response.StatusCode(), response.Body(), err)
		}
		begun := time.Now()
		_, committed, _ := strings.Cut(string(response.Header.Peek("Commit-LSN")), "-") // without the timeline
		lsn := parseLSN(b, committed)
		for checkpointLSN(b, c) < lsn {
			if time.Since(begun) > time.Second {
				b.Fatalf("not in Redis after %v", time.Since(begun))
			}
			<-time.After(pollEvery) // without a rest the poller would take a processor from the services
		}
		took = append(took, time.Since(begun))
	}
	return took
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
