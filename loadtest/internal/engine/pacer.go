package engine

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// pacer says when an iteration starts.
type pacer struct {
	start    time.Time
	rate     float64
	rampUp   time.Duration
	users    int
	first    int   // user
	limit    int64 // of arrivals; 0: none
	most     int64 // that the users' iterations allow; 0: any number
	duration time.Duration
	arrivals atomic.Int64
	begun    atomic.Int64 // of the arrivals
}

// late is how long after the end of a run an arrival from before its end may still begin. A user that sleeps until an
// arrival never wakes up at the very moment.
const late = 50 * time.Millisecond

func newPacer(c Config, start time.Time) *pacer {
	return &pacer{start: start, rate: c.Rate, rampUp: c.RampUp, users: c.VUsers, first: c.FirstUser, limit: c.Arrivals, most: int64(c.VUsers) * int64(c.Iterations), duration: c.Duration}
}

// arrivalOffset is the intended start of the n-th arrival (from 0) at a constant rate per second.
func arrivalOffset(n int64, rate float64) time.Duration {
	return time.Duration(float64(n) / rate * float64(time.Second))
}

// rampOffset is when user id of users starts, so that all have started within rampUp.
func rampOffset(id, users int, rampUp time.Duration) time.Duration {
	return time.Duration(int64(rampUp) * int64(id) / int64(users))
}

// wait returns when the user may begin its iteration and sets what the pacer knows about it. In the open model
// any free user takes the next arrival. If all users were busy, the iteration starts late, and the delay is
// part of the latency. more is false when the run is over.
func (p *pacer) wait(ctx context.Context, u *User) (more bool) {
	if p.rate == 0 {
		if u.Iteration > 0 || p.rampUp == 0 {
			return ctx.Err() == nil
		}
		return sleep.Until(ctx, p.start.Add(rampOffset(u.ID-p.first, p.users, p.rampUp))) == nil
	}
	u.Arrival = p.arrivals.Add(1) - 1
	if p.limit > 0 && u.Arrival >= p.limit {
		return false
	}
	u.intended = p.start.Add(arrivalOffset(u.Arrival, p.rate))
	if p.duration > 0 && !u.intended.Before(p.start.Add(p.duration)) {
		return false
	}
	if sleep.Until(ctx, u.intended) != nil && !p.justLate(ctx, u.intended) {
		return false
	}
	p.begun.Add(1)
	return true
}

// justLate says whether a run that has ended by its duration still takes an arrival.
func (p *pacer) justLate(ctx context.Context, intended time.Time) bool {
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) || p.duration == 0 {
		return false
	}
	end := p.start.Add(p.duration)
	return intended.Before(end) && time.Since(end) < late
}

// count tells what became of the arrivals of a run that took so long; nil in the closed model.
func (p *pacer) count(elapsed time.Duration) *report.Arrivals {
	if p.rate == 0 {
		return nil
	}
	if p.duration > 0 {
		elapsed = min(elapsed, p.duration)
	}
	begun := p.begun.Load()
	asked := max(begun, int64(math.Ceil(p.rate*elapsed.Seconds())))
	for _, bound := range []int64{p.limit, p.most} {
		if bound > 0 {
			asked = min(asked, bound)
		}
	}
	return &report.Arrivals{Asked: asked, Started: begun, Dropped: asked - begun}
}
