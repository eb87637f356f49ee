package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// group is the agents of one run.
type group struct {
	members  []*member
	timing   timing
	progress func(report.Progress) // of all together; may be nil
	start    time.Time             // the common start
	stop     <-chan struct{}
	stopAll  context.CancelFunc // closes stop: all are told to stop

	mu   sync.Mutex
	last []status
	errs []error // why an agent is out; each names it
	why  error   // the first of them: the others may follow from it
}

// newGroup tells the agents to stop when ctx ends. The other methods want a context that outlives it:
// agents are followed until they have stopped.
func newGroup(ctx context.Context, members []*member, t timing, progress func(report.Progress)) *group {
	ctx, cancel := context.WithCancel(ctx)
	return &group{members: members, timing: t, progress: progress, stop: ctx.Done(), stopAll: cancel,
		last: make([]status, len(members)), errs: make([]error, len(members))}
}

// follow follows all agents until each is as far as reached says, or has ended. The first agent that is out
// stops the others. An agent that is further than others is still asked, because otherwise it would take the
// controller for lost.
func (g *group) follow(ctx context.Context, reached func(State) bool) {
	all := func(State) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return !slices.ContainsFunc(g.last, func(s status) bool { return !reached(s.State) })
	}
	var wg sync.WaitGroup
	for i, m := range g.members {
		wg.Go(func() {
			see := func(s status) { g.see(i, s) }
			s, err := m.follow(ctx, g.stop, g.timing, see, all)
			if err == nil && s.State == Failed {
				err = errors.New(s.Error)
			}
			if err != nil {
				g.out(i, err)
				g.stopAll()
			}
		})
	}
	wg.Wait()
}

func (g *group) out(i int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.errs[i] == nil {
		g.errs[i] = fmt.Errorf("agent %s: %w", g.members[i].addr, err)
	}
	if g.why == nil {
		g.why = g.errs[i]
	}
}

// each calls do for the agents that are not out, all at the same time. An agent for which it fails is out. The error
// names all agents that are out.
func (g *group) each(do func(i int, m *member) error) error {
	var wg sync.WaitGroup
	for i, m := range g.members {
		if g.errs[i] == nil {
			wg.Go(func() {
				if err := do(i, m); err != nil {
					g.out(i, err)
				}
			})
		}
	}
	wg.Wait()
	return errors.Join(g.errs...)
}

// prepare waits until all are ready, calls prepared with the moment to start, and gives it to them, each by its own clock.
func (g *group) prepare(ctx context.Context, prepared func(start time.Time)) error {
	g.follow(ctx, func(s State) bool { return s == Ready })
	select {
	case <-g.stop:
		if g.why == nil {
			g.why = errors.New("stopped before the load began")
		}
		return g.dismiss(ctx, g.why)
	default:
	}
	g.start = time.Now().Add(g.timing.lead)
	if prepared != nil {
		prepared(g.start)
	}
	err := g.each(func(_ int, m *member) error {
		if err := m.call(ctx, http.MethodPost, m.path("/start"), startOrder{g.start.Add(m.offset)}, nil); err != nil {
			return fmt.Errorf("could not be started: %w", err)
		}
		return nil
	})
	if err != nil {
		return g.dismiss(ctx, err)
	}
	return nil
}

// dismiss stops the agents that are not out and whose load has not begun. It returns why, and what went wrong.
func (g *group) dismiss(ctx context.Context, why error) error {
	for i, m := range g.members {
		if g.errs[i] == nil {
			if err := m.call(context.WithoutCancel(ctx), http.MethodDelete, m.path(""), nil, nil); err != nil {
				why = errors.Join(why, fmt.Errorf("agent %s: stop: %w", m.addr, err))
			}
		}
	}
	return why
}

// run follows all to their end.
func (g *group) run(ctx context.Context) {
	g.follow(ctx, func(State) bool { return false })
	for i, err := range g.errs {
		if errors.Is(err, errLost) {
			g.errs[i] = fmt.Errorf("%w (noticed %.0f s after the start)", err, time.Since(g.start).Seconds())
		}
	}
}

// see takes an agent's status. With that of the first one it tells of the progress.
func (g *group) see(i int, s status) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last[i] = s
	if i > 0 || g.progress == nil {
		return
	}
	var all report.Progress
	for _, s := range g.last {
		all.Merge(s.Progress)
	}
	if all.Elapsed > 0 {
		g.progress(all)
	}
}
