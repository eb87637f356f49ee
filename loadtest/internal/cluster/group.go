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
	members []*member
	timing  timing
	stop    chan struct{} // closed: all are told to stop
	release func() bool

	once sync.Once
	mu   sync.Mutex
	last []status
	errs []error // why an agent is out
	why  error   // the first of them: the others may follow from it
}

// newGroup tells the agents to stop when ctx ends. The other methods want a context that outlives it:
// agents are followed until they have stopped.
func newGroup(ctx context.Context, members []*member, t timing) *group {
	g := &group{members: members, timing: t, stop: make(chan struct{}),
		last: make([]status, len(members)), errs: make([]error, len(members))}
	g.release = context.AfterFunc(ctx, g.stopAll)
	return g
}

func (g *group) close() { g.release() }

func (g *group) stopAll() { g.once.Do(func() { close(g.stop) }) }

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
			see := func(s status) {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.last[i] = s
			}
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
		g.errs[i] = err
	}
	if g.why == nil {
		g.why = fmt.Errorf("agent %s: %w", g.members[i].addr, err)
	}
}

// prepare waits until all are ready, then gives them the moment to start, each by its own clock.
func (g *group) prepare(ctx context.Context) error {
	g.follow(ctx, func(s State) bool { return s == Ready })
	select {
	case <-g.stop:
		return errors.Join(g.reason(), dismiss(ctx, g.left()))
	default:
	}
	at := time.Now().Add(g.timing.lead)
	for i, m := range g.members {
		if err := m.call(ctx, http.MethodPost, m.path("/start"), startOrder{at.Add(m.offset)}, nil); err != nil {
			g.out(i, fmt.Errorf("could not be started: %w", err))
			g.stopAll()
			return errors.Join(g.reason(), dismiss(ctx, g.left()))
		}
	}
	return nil
}

// reason is why the load does not begin.
func (g *group) reason() error {
	if g.why != nil {
		return g.why
	}
	return errors.New("stopped before the load began")
}

// left are the agents that are not out.
func (g *group) left() (members []*member) {
	for i, m := range g.members {
		if g.errs[i] == nil {
			members = append(members, m)
		}
	}
	return members
}

// run follows all to their end and tells of their progress.
func (g *group) run(ctx context.Context, progress func(report.Progress)) {
	started, done := time.Now().Add(g.timing.lead), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				g.tell(progress)
			case <-done:
				return
			}
		}
	})
	g.follow(ctx, func(State) bool { return false })
	close(done)
	wg.Wait()
	for i, err := range g.errs {
		if errors.Is(err, errLost) {
			g.errs[i] = fmt.Errorf("%w (noticed %.0f s after the start)", err, time.Since(started).Seconds())
		}
	}
}

func (g *group) tell(progress func(report.Progress)) {
	if progress == nil {
		return
	}
	var all report.Progress
	g.mu.Lock()
	for _, s := range g.last {
		all.Merge(s.Progress)
	}
	g.mu.Unlock()
	if all.Elapsed > 0 {
		progress(all)
	}
}
