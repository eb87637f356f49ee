package bidbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// step is a path that a read may take.
type step struct {
	path *path
	// idle says that the path is asked only if it has a free place now, because Redis has an answer too, or because a
	// path before was busy and its load must not be poured into a slower one.
	idle bool
	// last says that the path is asked only if an answer was too stale, or if a path did not prove that it has the
	// primary's history.
	last bool
}

// steps are the paths that a request may take, in order.
func (c *Chain) steps(w Want) []step {
	if w.Force != "" {
		for _, p := range c.paths {
			if p.name == w.Force {
				return []step{{path: p}}
			}
		}
	}
	redis, replica, standby, first := c.paths[0], c.paths[1], c.paths[2], c.paths[3]
	sql := []step{{path: replica}, {path: standby}, {path: first, last: w.Min == lsn.Position{}}}
	switch {
	case w.sqlOnly:
		return sql
	case c.left.Load() != nil:
		return append([]step{{path: replica, idle: true}, {path: standby, idle: true}, {path: redis}}, sql...)
	}
	return append([]step{{path: redis}}, sql...)
}

// When the primary changes, every path to the database may fail for a moment: the old primary has stopped, the standby
// becomes the new one, and pgpool-II drops its sessions. When Redis or a standby is away or has come back, the other paths may
// have no place for some of its reads. A read that no path has answered then asks all paths again, so that a planned
// switchover or a restart fails no read.
const (
	changePause = 100 * time.Millisecond
	// changePatience is twice the time that a switchover takes on a busy machine.
	changePatience = 3 * time.Second
	// changeWaiting is how many reads wait so, three quarters of the places that the front door gives to one of two
	// instances. Further reads fail at once (W4).
	changeWaiting = 384
	// pathTurn is how long after a path was lost, or found again, reads wait so. Neither a longer outage nor a path that is
	// lost and found again and again, beyond flapTime, is a change, so that reads do not queue up.
	pathTurn = 5 * time.Second
	flapTime = 15 * time.Second
	// followPatience is how long a read waits for a wanted position of Redis while the primary changes. The replicator goes
	// on within a second, and SQL can't take all these reads. At most followWaiting reads wait so long.
	followPatience = 1500 * time.Millisecond
	followWaiting  = 256
)

// run answers a read.
func run[T any](ctx context.Context, c *Chain, w Want, look lookup[T]) (data T, at Position, err error) {
	began := time.Now()
	data, at, err = ask(ctx, c, w, look)
	if !c.mayChange(w, err) || c.changes.enter(ctx, false) != nil {
		return data, at, err
	}
	defer c.changes.leave()
	for c.mayChange(w, err) && time.Since(began) < changePatience && sleep.For(ctx, changePause) == nil {
		data, at, err = ask(ctx, c, w, look)
	}
	return data, at, err
}

// mayChange says whether another try may help: no path has answered, and the primary or a path changes.
func (c *Chain) mayChange(w Want, err error) bool {
	return (errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBusy)) && w.Force == "" &&
		(c.changing() || slices.ContainsFunc(c.paths, func(p *path) bool { return p.name != PathScan && p.turns(time.Now()) }))
}

// await waits for a wanted position of a path.
func (c *Chain) await(ctx context.Context, p *path, w Want) error {
	patience := c.staleness.MinLSN
	if p.name == PathRedis && w.Force == "" && c.changing() && c.follows.enter(ctx, false) == nil {
		defer c.follows.leave()
		patience = max(patience, followPatience)
	}
	ctx, span := tracing.Start(ctx, "wait for Min-LSN")
	err := p.waiter.await(ctx, w.Min, patience)
	span.Fail(err)
	span.End()
	return err
}

// ask asks one path after the other. An answer that is too stale is kept in case no other path has a better one.
func ask[T any](ctx context.Context, c *Chain, w Want, look lookup[T]) (data T, at Position, err error) {
	if w, err = c.settle(ctx, w); err != nil {
		return data, Position{}, err
	}
	var stale kept[T]
	so := course{chain: c, want: w}
	defer so.end()
	for _, s := range c.steps(w) {
		if !so.takes(s) {
			continue
		}
		if err := so.enter(ctx, s); err != nil && s.idle {
			continue
		} else if err != nil {
			return data, Position{}, err
		}
		start := time.Now()
		data, at, err = traced(ctx, c, step{path: s.path, idle: s.idle || so.busy}, w, look)
		c.metrics.observe(s.path.name, time.Since(start), err)
		switch {
		case (err == nil || errors.Is(err, ErrNotFound)) && c.tooStale(s, w, at):
			stale, so.needed = kept[T]{data, at, err, true}, true
			continue
		case err == nil, errors.Is(err, ErrNotFound):
			return data, at, err
		case ctx.Err() != nil:
			return data, Position{}, context.Cause(ctx)
		case errors.Is(err, ErrBeyond):
			return data, Position{}, c.beyond(w, at, err)
		}
		if so.learn(s, err); errors.Is(err, ErrTooMuch) {
			break // the next path would have to count as much
		}
	}
	if stale.is {
		return stale.data, stale.at, stale.err
	}
	return data, Position{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(so.errs...))
}

// course is what a read has learned from the paths so far, and the places that it holds.
type course struct {
	chain  *Chain
	want   Want
	errs   []error
	needed bool // the step that is last is needed
	busy   bool // a path had no free place
	scarce bool // Redis could not decide the lookup
	places []*gate
}

// takes says whether the read takes a step.
func (o *course) takes(s step) bool {
	return (!s.last || o.needed) && (!s.idle || s.path.idle())
}

// enter takes the places that a read needs on a SQL path besides the path's own. It does not wait for them if the
// step needs an idle path.
func (o *course) enter(ctx context.Context, s step) error {
	if s.path.gate == nil || (s.idle || o.want.Force != "") && o.want.counts == nil {
		return nil
	}
	var needs []*gate
	switch {
	case o.want.counts != nil:
		needs = append(needs, o.chain.counting)
	case o.scarce:
		needs = append(needs, o.chain.undecided)
	}
	if s.path.name == PathPrimary && o.want.Min != (lsn.Position{}) {
		needs = append(needs, o.chain.last)
	}
	for _, g := range needs {
		if slices.Contains(o.places, g) {
			continue
		}
		err := g.enter(ctx, !o.busy && !s.idle)
		if g == o.chain.counting && errors.Is(err, ErrBusy) {
			return ErrCounting
		}
		if err != nil {
			return err
		}
		o.places = append(o.places, g)
	}
	return nil
}

func (o *course) learn(s step, err error) {
	o.needed = o.needed || errors.Is(err, primary.ErrForked) || errors.Is(err, primary.ErrUnproven)
	o.busy = o.busy || errors.Is(err, ErrBusy) && !s.idle
	o.scarce = o.scarce || errors.Is(err, ErrUndecided)
	o.errs = append(o.errs, fmt.Errorf("%s: %w", s.path.name, err))
}

// end gives the places back, the place of a count only after its rest.
func (o *course) end() {
	for _, g := range o.places {
		if g == o.chain.counting {
			time.AfterFunc(time.Duration(*o.want.counts)*countingRest, g.leave)
			continue
		}
		g.leave()
	}
}

// kept is a stale answer that is used if there is no better one.
type kept[T any] struct {
	data T
	at   Position
	err  error
	is   bool
}

// tooStale says whether another path's answer, if there is one, would be better.
func (c *Chain) tooStale(s step, w Want, at Position) bool {
	if s.idle {
		left := c.left.Load()
		return left != nil && at.LagMillis >= left.LagMillis
	}
	return w.sqlOnly && w.Force == "" && time.Duration(at.LagMillis)*time.Millisecond > c.staleness.StandbyLag
}
