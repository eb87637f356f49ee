package bidbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// The budgets: what a path may cost a read, apart from waiting for a Min-LSN.
const (
	RedisBudget = 50 * time.Millisecond
	SQLBudget   = 250 * time.Millisecond
)

// How long a read waits for its turn on a SQL path before it takes the next path. Waiting for a turn is
// not the path's fault, so it is outside of the budget.
const sqlQueue = 250 * time.Millisecond

// Want is what a request asks of the path: a position to be reached, and which path ("" for any).
type Want struct {
	Min   readmodel.LSN
	Force Path
}

// Paths are the readers of a chain; all four are needed.
type Paths struct {
	Redis, Replica, Standby, Primary Reader
}

// Chain asks one path after the other until one answers.
type Chain struct {
	paths   []*path // the last is the primary
	wait    time.Duration
	log     *slog.Logger
	metrics *metrics
}

// path is a reader with its budget and breaker.
type path struct {
	name   Path
	reader Reader
	budget time.Duration
	waiter *waiter
	slots  chan struct{}
	queue  time.Duration

	mu      sync.Mutex
	breaker breaker
}

// NewChain makes a chain that waits up to wait on each path for a wanted position.
func NewChain(p Paths, wait time.Duration, log *slog.Logger, reg prometheus.Registerer) *Chain {
	c := &Chain{wait: wait, log: log, metrics: newMetrics(reg)}
	for _, one := range []struct {
		name   Path
		reader Reader
		budget time.Duration
		poll   time.Duration
		slots  int // 0: the reader keeps its budget and its queue itself
	}{
		{PathRedis, p.Redis, RedisBudget, time.Millisecond, 0},
		{PathReplica, p.Replica, SQLBudget, 5 * time.Millisecond, ReplicaConns},
		{PathStandby, p.Standby, SQLBudget, 5 * time.Millisecond, StandbyConns},
		{PathPrimary, p.Primary, SQLBudget, 5 * time.Millisecond, PrimaryConns},
	} {
		c.paths = append(c.paths, &path{name: one.name, reader: one.reader, budget: one.budget,
			slots: make(chan struct{}, one.slots), queue: sqlQueue,
			waiter: &waiter{probe: one.reader.Probe, every: one.poll, limit: one.budget}})
		c.metrics.open.WithLabelValues(string(one.name)).Set(0)
	}
	return c
}

// Bids answers from the first path that can. The error is ErrNotFound, ErrUnavailable, ErrBeyond,
// ErrBehind (a forced path) or the end of the request.
func (c *Chain) Bids(ctx context.Context, q BidsQuery, w Want) (BidPage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader) (BidPage, Position, error) { return r.Bids(ctx, q, w.Min) })
}

// Raffles is as Bids.
func (c *Chain) Raffles(ctx context.Context, q RafflesQuery, w Want) (RafflePage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader) (RafflePage, Position, error) { return r.Raffles(ctx, q, w.Min) })
}

// Raffle is as Bids.
func (c *Chain) Raffle(ctx context.Context, id int64, w Want) (RaffleDetail, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader) (RaffleDetail, Position, error) { return r.Raffle(ctx, id, w.Min) })
}

// Ready returns nil if a path answers that serves reads without a Min-LSN.
func (c *Chain) Ready(ctx context.Context) error {
	for _, p := range c.paths {
		if p.name == PathPrimary {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, p.budget)
		_, err := p.reader.Probe(ctx)
		cancel()
		if err == nil {
			return nil
		}
		c.log.DebugContext(ctx, "path not ready", "path", p.name, "error", err)
	}
	return ErrUnavailable // without the causes, which may hold addresses
}

type lookup[T any] func(context.Context, Reader) (T, Position, error)

func run[T any](ctx context.Context, c *Chain, w Want, look lookup[T]) (data T, at Position, err error) {
	var errs []error
	for _, p := range c.paths {
		if w.Force != "" && w.Force != p.name || w.Force == "" && p.name == PathPrimary && w.Min == 0 {
			continue
		}
		start := time.Now()
		data, at, err = try(ctx, c, p, w, look)
		c.metrics.observe(p.name, time.Since(start), err)
		switch {
		case err == nil, errors.Is(err, ErrNotFound):
			return data, at, err
		case ctx.Err() != nil:
			return data, Position{}, context.Cause(ctx)
		case p.name == PathPrimary && errors.Is(err, ErrBehind):
			return data, Position{}, fmt.Errorf("%w: it is at %s, wanted is %s", ErrBeyond, at.LSN, w.Min)
		}
		errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
	}
	return data, Position{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(errs...))
}

// try asks one path within its budget, waiting once for the wanted position. A forced path is asked
// whatever its breaker says, and its breaker is not told.
func try[T any](ctx context.Context, c *Chain, p *path, w Want, look lookup[T]) (data T, at Position, err error) {
	evenOpen := w.Force != ""
	if !evenOpen {
		ok, trial := p.allow(time.Now())
		if !ok {
			return data, at, ErrSpared
		}
		evenOpen = trial
		defer func() { c.done(ctx, p, trial, err) }()
	}
	data, at, used, err := within(ctx, p, p.budget, evenOpen, look)
	if w.Min == 0 || p.name == PathPrimary || !errors.Is(err, ErrBehind) {
		return data, at, err
	}
	waiting, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	if err := p.waiter.await(waiting, w.Min); err != nil {
		return data, at, err
	}
	data, at, _, err = within(ctx, p, p.budget-used, evenOpen, look)
	return data, at, err
}

// within does a lookup in its turn. Those that have waited don't follow one another into a path whose
// breaker has opened meanwhile.
func within[T any](ctx context.Context, p *path, budget time.Duration, evenOpen bool, look lookup[T]) (data T, at Position, used time.Duration, err error) {
	if cap(p.slots) == 0 {
		start := time.Now()
		data, at, err = look(ctx, p.reader)
		return data, at, time.Since(start), err
	}
	if err := p.enter(ctx); err != nil {
		return data, at, 0, err
	}
	defer p.leave()
	if !evenOpen && p.open() {
		return data, at, 0, ErrSpared
	}
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	start := time.Now()
	data, at, err = look(ctx, p.reader)
	return data, at, time.Since(start), err
}

// enter takes a slot or returns ErrBusy.
func (p *path) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	turn := time.NewTimer(p.queue)
	defer turn.Stop()
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-turn.C:
		return ErrBusy
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *path) leave() { <-p.slots }

func (p *path) open() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaker.open()
}

// verdict: a path that answers "behind" or "incomplete" costs a round trip and no budget, so it is not
// spared. A client that has left or had no turn says nothing about the path, nor does a statement that
// the server ended as too much work.
func verdict(ctx context.Context, err error) outcome {
	switch {
	case err == nil, errors.Is(err, ErrNotFound), errors.Is(err, ErrBehind), errors.Is(err, ErrIncomplete):
		return worked
	case ctx.Err() != nil, errors.Is(err, ErrBusy), errors.Is(err, ErrSpared), errors.Is(err, errTooMuch):
		return unknown
	}
	return failed
}

func (p *path) allow(now time.Time) (ok, trial bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaker.allow(now)
}

// done tells the path's breaker and everybody who watches how a use ended.
func (c *Chain) done(ctx context.Context, p *path, trial bool, err error) {
	p.mu.Lock()
	before := p.breaker.open()
	p.breaker.done(time.Now(), verdict(ctx, err), trial)
	open := p.breaker.open()
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
