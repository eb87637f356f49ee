package bidbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// step is a path that a read may take.
type step struct {
	path *path
	// idle says that the path is asked only if it has a place free now: Redis has an answer, too, or a path before was
	// busy, and its load must not be poured into a slower one.
	idle bool
	// last says that the path is asked only if the others may not answer, or have not reached the position.
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

// run asks one path after the other. An answer that is staler than it should be is kept for the case that no
// other path has a better one.
func run[T any](ctx context.Context, c *Chain, w Want, look lookup[T]) (data T, at Position, err error) {
	if w, err = c.settle(ctx, w); err != nil {
		return data, Position{}, err
	}
	var errs []error
	var stale kept[T]
	needed, busy := false, false // whether the last resort is needed, whether a path had no room
	for _, s := range c.steps(w) {
		if s.last && !needed || s.idle && !s.path.idle() {
			continue
		}
		start := time.Now()
		data, at, err = try(ctx, c, step{path: s.path, idle: s.idle || busy}, w, look)
		c.metrics.observe(s.path.name, time.Since(start), err)
		switch {
		case (err == nil || errors.Is(err, ErrNotFound)) && c.tooStale(s, w, at):
			stale, needed = kept[T]{data, at, err, true}, true
			continue
		case err == nil, errors.Is(err, ErrNotFound):
			return data, at, err
		case ctx.Err() != nil:
			return data, Position{}, context.Cause(ctx)
		case errors.Is(err, ErrBeyond):
			return data, Position{}, c.beyond(w, at, err)
		}
		needed = needed || errors.Is(err, primary.ErrForked)
		busy = busy || errors.Is(err, ErrBusy) && !s.idle
		errs = append(errs, fmt.Errorf("%s: %w", s.path.name, err))
	}
	if stale.is {
		return stale.data, stale.at, stale.err
	}
	return data, Position{}, fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(errs...))
}

// kept is an answer that is used if there is no better one.
type kept[T any] struct {
	data T
	at   Position
	err  error
	is   bool
}

// tooStale says whether an answer is to be replaced by another path's, if there is one.
func (c *Chain) tooStale(s step, w Want, at Position) bool {
	if s.idle {
		left := c.left.Load()
		return left != nil && at.LagMillis >= left.LagMillis
	}
	return w.sqlOnly && w.Force == "" && time.Duration(at.LagMillis)*time.Millisecond > c.patient.StandbyLag
}
