package bidbook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// sqlQueue is how long a read waits for its turn on a SQL path before it takes the next path. Waiting for a turn does
// not count towards the budget, because it is not the path's fault.
const sqlQueue = 250 * time.Millisecond

// sqlWaiting is how many reads may wait for their turn on a SQL path, some 60 ms of its work. Further reads are
// refused. When Redis hangs, all reads that come within its budget arrive at once.
const sqlWaiting = 256

// path is a reader with its budget and breaker.
type path struct {
	name   Path
	span   string // the name of its spans
	reader Reader
	budget time.Duration
	waiter *waiter
	gate   *gate // nil: the reader keeps its budget and its queue itself
	// reports says that the reader itself reports its failures, because many lookups may share one.
	reports bool

	mu      sync.Mutex
	breaker breaker
	turned  time.Time // when the breaker was opened or closed last
	steady  time.Time // when it was opened or closed for the first time after a while without that
}

// try asks the path of a step within its budget, waiting once for the wanted position. A forced path is asked
// whatever its breaker says, and its breaker is not told.
func try[T any](ctx context.Context, c *Chain, s step, w Want, look lookup[T]) (data T, at Position, err error) {
	p, evenOpen := s.path, w.Force != ""
	if !evenOpen {
		ok, trial := p.allow(time.Now())
		if !ok {
			return data, at, ErrCircuitOpen
		}
		evenOpen = trial
		if trial || !p.reports {
			defer func() { c.done(ctx, p, trial, err) }()
		}
	}
	if at, err := c.reach(ctx, p, w.Min); err != nil {
		return data, at, err
	}
	data, at, used, err := within(ctx, s, w.Min, p.budget, evenOpen, look)
	if w.Min == (lsn.Position{}) || !errors.Is(err, ErrBehind) {
		return data, at, err
	}
	if err := c.await(ctx, p, w); err != nil {
		return data, at, err
	}
	data, at, _, err = within(ctx, s, w.Min, p.budget-used, evenOpen, look)
	if errors.Is(err, context.DeadlineExceeded) && used > p.budget/2 {
		err = fmt.Errorf("%w: %w", errShort, err)
	}
	return data, at, err
}

// reach waits until a SQL path has reached a position, before anything is read there for it. One poller asks for all
// reads that wait, so a position that is never reached costs one cheap statement now and then. Redis needs no poller,
// because its position comes with the data and a heavy lookup is preceded by a light one. Only the primary can say
// that the position is beyond it, so it is asked once more.
func (c *Chain) reach(ctx context.Context, p *path, minLSN lsn.Position) (at Position, err error) {
	if p.gate == nil || minLSN == (lsn.Position{}) || p.waiter.hasShown(minLSN) {
		return at, nil
	}
	err = p.waiter.await(ctx, minLSN, c.staleness.MinLSN)
	if r, is := p.reader.(reacher); is && p.name == PathPrimary && errors.Is(err, ErrBehind) {
		ctx, cancel := context.WithTimeout(ctx, p.budget)
		defer cancel()
		at, err = r.Reach(ctx, minLSN)
	}
	return at, err
}

// reacher is a reader that can ask for its position alone.
type reacher interface {
	Reach(ctx context.Context, minLSN lsn.Position) (Position, error)
}

// errShort says that the second try had too little of the budget left to say anything about the path.
var errShort = errors.New("little time left")

// within does a lookup in its turn. The breaker is checked again after the wait for a place, so that queued lookups
// do not all enter a path that has just failed.
func within[T any](ctx context.Context, s step, minLSN lsn.Position, budget time.Duration, evenOpen bool, look lookup[T]) (data T, at Position, used time.Duration, err error) {
	p := s.path
	if p.gate == nil {
		start := time.Now()
		data, at, err = look(ctx, p.reader, minLSN)
		return data, at, time.Since(start), err
	}
	if err := p.gate.enter(ctx, !s.idle); err != nil {
		return data, at, 0, err
	}
	defer p.gate.leave()
	if !evenOpen && p.open() {
		return data, at, 0, ErrCircuitOpen
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	start := time.Now()
	data, at, err = look(ctx, p.reader, minLSN)
	return data, at, time.Since(start), err
}

// idle says whether a read would get its turn at once.
func (p *path) idle() bool { return !p.gate.full() && !p.open() }

// turns says whether the path was lost or found a moment ago.
func (p *path) turns(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.turned.IsZero() && now.Sub(p.turned) < pathTurn && now.Sub(p.steady) < flapTime
}

// turn notes that the breaker was opened or closed.
func (p *path) turn(now time.Time) {
	if now.Sub(p.turned) > pathTurn {
		p.steady = now
	}
	p.turned = now
}

func (p *path) open() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaker.open()
}

// verdict is what an error says about the path. A path that answers "behind" or "incomplete" works, because that
// costs a round trip and not the budget. Nothing is known of the path if the client left, if the read got no turn, if
// the server ended a count as too much work, or if another lookup has reported the failure.
func verdict(ctx context.Context, err error) outcome {
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrBehind), errors.Is(err, ErrBeyond), errors.Is(err, ErrIncomplete):
		return worked
	case ctx.Err() != nil, errors.Is(err, ErrBusy), errors.Is(err, ErrCircuitOpen), errors.Is(err, errShort), errors.Is(err, ErrShared):
		return unknown
	}
	return failed
}

func (p *path) allow(now time.Time) (ok, trial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaker.allow(now)
}

// done tells the breaker, the log and the metrics how a use of the path ended. If a report of the reader has closed
// the breaker already, the trial of one lookup says nothing more. A trial that failed with others counts as a
// failure, because a trial must have an outcome.
func (c *Chain) done(ctx context.Context, p *path, trial bool, err error) {
	p.mu.Lock()
	before := p.breaker.open()
	outcome := verdict(ctx, err)
	switch {
	case trial && p.reports && !before:
		outcome = unknown
	case trial && outcome == unknown && errors.Is(err, ErrShared):
		outcome = failed
	}
	p.breaker.done(time.Now(), outcome, trial)
	open := p.breaker.open()
	if open != before {
		p.turn(time.Now())
	}
	p.mu.Unlock()
	switch {
	case open && !before:
		c.log.WarnContext(ctx, "path failed repeatedly and is spared", "path", p.name, "error", err)
	case before && !open:
		c.log.InfoContext(ctx, "path answers again", "path", p.name)
	default:
		return
	}
	c.metrics.setOpen(p.name, open)
}
