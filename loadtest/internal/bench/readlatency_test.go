package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

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
	open := query(b, s.standby, "SELECT format('/v1/raffles/%s/bids', id) FROM raffles WHERE closed_at IS NULL AND starts_at <= now()", pgx.RowTo[string])
	looked := make(chan outcome, 1)
	go func() {
		report, err := s.lookup(b.Context(), engine.Config{VUsers: 256, Duration: measure, Rate: 8000})
		looked <- outcome{report, err}
	}()
	bids, err := s.bid(b.Context(), engine.Config{VUsers: 256, Duration: measure, Rate: 2000}, func(u *engine.User) {
		u.Request.SetRequestURI(open[u.Rand.IntN(len(open))])
	})
	if err != nil {
		b.Fatal(err)
	}
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

// outcome is what came of a load that was made beside another one.
type outcome struct {
	report *report.Run
	err    error
}

// bid places bids. aim may change the raffle and the size, which are otherwise drawn from the demo data.
func (s *reads) bid(ctx context.Context, c engine.Config, aim func(*engine.User)) (*report.Run, error) {
	c.Addr, c.Seed = s.commandAddr, uint64(time.Now().UnixNano())
	return engine.Run(ctx, c, func(u *engine.User) error {
		fillBid(u, s.commandAddr, s.bearer)
		aim(u)
		return u.Do("bid", isCreated)
	})
}
