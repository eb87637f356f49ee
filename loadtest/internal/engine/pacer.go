package engine

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// pacer says when an iteration starts.
type pacer struct {
	start    time.Time
	stages   Stages // of all generators together; nil: closed model
	part     float64
	parts    float64 // generators
	rampUp   time.Duration
	users    int
	first    int   // user
	limit    int64 // of arrivals
	arrivals atomic.Int64
	begun    atomic.Int64 // of the arrivals
	ended    atomic.Int64 // when the run took no more arrivals, as a time.Duration since start; 0: it takes them
}

// end notes that the run takes no more arrivals from now on. What comes due later was never asked for.
func (p *pacer) end() { p.ended.CompareAndSwap(0, int64(time.Since(p.start))) }

// late is how long after the end of a run an arrival from before its end may still begin. A user that sleeps until an
// arrival never wakes up at the very moment.
const late = 50 * time.Millisecond

func newPacer(c Config, start time.Time) *pacer {
	p := &pacer{start: start, stages: c.Stages, part: float64(c.Part), parts: float64(max(c.Parts, 1)), rampUp: c.RampUp,
		users: c.VUsers, first: c.FirstUser, limit: math.MaxInt64}
	if c.Rate > 0 {
		p.stages = constant(c.Rate)
	}
	for _, bound := range []int64{c.Arrivals, int64(c.VUsers) * int64(c.Iterations)} {
		if bound > 0 {
			p.limit = min(p.limit, bound)
		}
	}
	if c.Duration > 0 {
		p.limit = p.asked(c.Duration)
	}
	return p
}

// constant is a load without an end.
func constant(rate float64) Stages { return Stages{{0, rate}, {math.MaxInt64, rate}} }

// offset is the intended start of the generator's n-th arrival (from 0). Of the arrivals of all generators it takes every
// parts-th.
func (p *pacer) offset(n int64) time.Duration { return p.stages.offset(float64(n)*p.parts + p.part) }

// rounding is the part of an arrival that an integral of the rate may be wrong by.
const rounding = 1e-6

// asked is the number of the generator's arrivals whose intended start comes before a time and before the end of the run; 0
// in the closed model.
func (p *pacer) asked(before time.Duration) int64 {
	if end := p.ended.Load(); end > 0 {
		before = min(before, time.Duration(end))
	}
	return min(p.limit, max(0, int64(math.Ceil((p.stages.arrivals(before)-p.part-rounding)/p.parts))))
}

// rampOffset is when user id of users starts, so that all have started within rampUp.
func rampOffset(id, users int, rampUp time.Duration) time.Duration {
	return time.Duration(int64(rampUp) * int64(id) / int64(users))
}

// wait returns when the user may begin its iteration and sets what the pacer knows about it. In the open model
// any free user takes the next arrival. If all users were busy, the iteration starts late, and the delay is
// part of the latency. more is false when the run is over.
func (p *pacer) wait(ctx context.Context, u *User) (more bool) {
	if p.stages == nil {
		if u.Iteration > 0 || p.rampUp == 0 {
			return ctx.Err() == nil
		}
		return sleep.Until(ctx, p.start.Add(rampOffset(u.ID-p.first, p.users, p.rampUp))) == nil
	}
	n := p.arrivals.Add(1) - 1
	if n >= p.limit {
		return false
	}
	due := p.offset(n)
	u.Arrival = n*int64(p.parts) + int64(p.part)
	u.intended = p.start.Add(due)
	if sleep.Until(ctx, u.intended) != nil && !p.justLate(due) {
		return false
	}
	p.begun.Add(1)
	return true
}

// justLate says whether a run that has ended still takes the arrival that was due then.
func (p *pacer) justLate(due time.Duration) bool {
	p.end()
	end := time.Duration(p.ended.Load())
	return due <= end && time.Since(p.start) < end+late
}

// count tells what became of the arrivals of a run that took so long with its last answers; nil in the closed model.
func (p *pacer) count(elapsed time.Duration) *report.Arrivals {
	if p.stages == nil {
		return nil
	}
	begun := p.begun.Load()
	asked := max(begun, p.asked(elapsed))
	return &report.Arrivals{Asked: asked, Started: begun, Dropped: asked - begun}
}
