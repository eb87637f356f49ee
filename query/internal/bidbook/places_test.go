package bidbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// named is a reader of which only the name is used.
type named struct {
	Finder
	name  Path
	ended func(error)
}

func (n *named) Report(f func(error)) { n.ended = f }

// pathOf makes a path of one place that never waits for a position.
func pathOf(name Path) *path {
	return &path{name: name, reader: &named{name: name}, budget: time.Minute, gate: newGate(1, time.Minute, sqlWaiting)}
}

func chainOf(paths ...*path) *Chain {
	return &Chain{paths: paths, primary: new(primary.Watch), metrics: newMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler),
		undecided: newGate(1, time.Minute, 1), counting: newGate(1, time.Minute, 1),
		changes: newGate(1, 0, 0), follows: newGate(1, 0, 0), changing: func() bool { return false }}
}

// R8, W4: reads that are too many for Redis are not poured into SQL. They get only a place that is free now.
func TestOverloadOfRedisIsShed_R8(t *testing.T) {
	replica, standby := pathOf(PathReplica), pathOf(PathStandby)
	redis := pathOf(PathRedis)
	redis.gate = nil
	c := chainOf(redis, replica, standby, pathOf(PathPrimary))
	look := func(_ context.Context, r Reader, _ lsn.Position) (Path, Position, error) {
		if name := r.(*named).name; name != PathRedis {
			return name, Position{}, nil
		}
		return "", Position{}, ErrBusy
	}
	for _, want := range []Path{PathReplica, PathStandby, ""} {
		got, _, err := run(t.Context(), c, Want{}, look)
		if got != want || (err != nil) != (want == "") {
			t.Fatalf("R8: %q, %v, want %q", got, err, want)
		}
		if want == "" && !errors.Is(err, ErrBusy) {
			t.Errorf("R8: without a free place: %v", err)
		}
		for _, p := range c.paths[1:3] {
			if p.name == want {
				p.gate.slots <- struct{}{} // the path has no free place from now on
			}
		}
	}
}

// W4: a bounded number of reads waits for a turn.
func TestWaitersAreBounded_W4(t *testing.T) {
	p := pathOf(PathReplica).gate
	if err := p.enter(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	ended := make(chan error)
	for range sqlWaiting + 10 {
		go func() { ended <- p.enter(gone, true) }()
	}
	for range 10 {
		if err := <-ended; !errors.Is(err, ErrBusy) {
			t.Errorf("W4: %v", err)
		}
	}
	leave()
	for range sqlWaiting {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("W4: one that waited: %v", err)
		}
	}
	w := &waiter{waiting: map[*waiting]struct{}{}, polling: true}
	for range mostWaiting {
		w.waiting[&waiting{}] = struct{}{}
	}
	if err := w.await(t.Context(), lsn.Position{}, time.Minute); !errors.Is(err, ErrBusy) {
		t.Errorf("W4: one more that waits for a position: %v", err)
	}
}

// R6: a pipeline that fails counts as one failure, however many lookups share it. The error of a lookup itself does
// not count.
func TestABreakerCountsPipelines_R6(t *testing.T) {
	reader := &named{name: PathRedis}
	sql := &named{name: PathReplica}
	c := NewChain(Paths{Redis: reader, Replica: &noReport{sql}, Standby: &noReport{sql}, Primary: &noReport{sql}, Scan: &noReport{sql}},
		new(primary.Watch), Staleness{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	broken := errors.New("broken")
	p := c.paths[0]
	reader.ended(broken)
	for range 100 {
		_, _, err := try(t.Context(), c, step{path: p}, Want{}, func(context.Context, Reader, lsn.Position) (int, Position, error) { return 0, Position{}, broken })
		if !errors.Is(err, broken) {
			t.Fatalf("R6: %v", err)
		}
	}
	if p.open() {
		t.Error("R6: one failed pipeline spares the path")
	}
	for range failuresToOpen - 1 {
		reader.ended(broken)
	}
	if !p.open() {
		t.Error("R6: failed pipelines don't spare the path")
	}
	reader.ended(nil)
	if p.open() {
		t.Error("R6: a pipeline that works doesn't take the path back")
	}
}

// R6: a trial tells the breaker what it has found, even if others share its failure. A node that answers "incomplete"
// works, so it closes the breaker.
func TestATrialThatSharesItsTransactionIsJudged_R6(t *testing.T) {
	for _, c := range []struct {
		err  error
		open bool
	}{{fmt.Errorf("%w: %w", ErrShared, ErrIncomplete), false}, {fmt.Errorf("%w: broken pipe", ErrShared), true}} {
		p := pathOf(PathReplica)
		chain := chainOf(p)
		p.breaker = breaker{halves: 2 * failuresToOpen, trial: true}
		chain.done(t.Context(), p, true, c.err)
		if p.open() != c.open {
			t.Errorf("R6: after %v the breaker is open: %v", c.err, p.open())
		}
	}
}

// noReport hides that a reader is a reporter.
type noReport struct{ Finder }

// R8: lookups that Redis can't decide leave places for other reads.
func TestUndecidedReadsHavePlacesOfTheirOwn_R8(t *testing.T) {
	redis := pathOf(PathRedis)
	redis.gate = nil
	c := chainOf(redis, pathOf(PathReplica), pathOf(PathStandby), pathOf(PathPrimary))
	c.undecided = newGate(1, 0, 0)
	if err := c.undecided.enter(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for reason, want := range map[error]Path{ErrUndecided: "", ErrIncomplete: PathReplica} {
		got, _, err := run(t.Context(), c, Want{}, func(_ context.Context, r Reader, _ lsn.Position) (Path, Position, error) {
			if name := r.(*named).name; name != PathRedis {
				return name, Position{}, nil
			}
			return "", Position{}, reason
		})
		if got != want || (err != nil) != (want == "") {
			t.Errorf("R8: %v: %q, %v", reason, got, err)
		}
	}
}

// R8: no SQL path reads anything for a position that it has not reached. One poller asks for all reads that wait.
func TestAnUnreachablePositionReadsNothing_R8(t *testing.T) {
	at := Position{At: lsn.Position{Timeline: 1, LSN: 10}}
	var probes atomic.Int32
	var paths []*path
	for _, name := range []Path{PathReplica, PathStandby, PathPrimary} {
		p := pathOf(name)
		p.waiter = &waiter{reached: new(primary.Watch).Reached, every: 10 * time.Millisecond, limit: time.Minute,
			probe: func(context.Context) (Position, error) { probes.Add(1); return at, nil }}
		paths = append(paths, p)
	}
	c := chainOf(paths...)
	look := func(_ context.Context, r Reader, minLSN lsn.Position) (Path, Position, error) {
		if minLSN.LSN > at.At.LSN {
			t.Errorf("R8: %s reads data for a position that it has not reached", r.(*named).name)
			return "", at, ErrBehind
		}
		return r.(*named).name, at, nil
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for _, p := range paths {
				if _, _, err := try(t.Context(), c, step{path: p}, Want{Min: lsn.Position{Timeline: 1, LSN: 11}}, look); !errors.Is(err, ErrBehind) {
					t.Errorf("R8: an unreachable position: %v", err)
				}
			}
		})
	}
	all.Wait()
	if n := probes.Load(); n > 75 {
		t.Errorf("R8: %d statements for 150 reads", n)
	}
	reachable := Want{Min: at.At}
	if got, _, err := try(t.Context(), c, step{path: paths[2]}, reachable, look); got != PathPrimary || err != nil {
		t.Errorf("R2: a position that is reached, without patience: %q, %v", got, err)
	}
}

// R2, R8: few reads with a Min-LSN are on the primary at once, some wait for their turn, and the others are refused.
func TestThePrimaryHasFewPlacesForAMinLSN_R8(t *testing.T) {
	sql := &noReport{&named{name: PathPrimary}}
	c := NewChain(Paths{Redis: sql, Replica: sql, Standby: sql, Primary: sql, Scan: sql},
		new(primary.Watch), Staleness{}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	c.last.queue = time.Minute // however busy the machine is
	p := c.paths[3]
	enter := func() (*course, error) {
		o := &course{chain: c, want: Want{Min: lsn.Position{Timeline: 1, LSN: 10}}}
		return o, o.enter(t.Context(), step{path: p})
	}
	var inside []*course
	for range lastPlaces {
		o, err := enter()
		if err != nil {
			t.Fatal(err)
		}
		inside = append(inside, o)
	}
	ended := make(chan error)
	for range lastWaiting + 10 {
		go func() {
			o, err := enter()
			o.end()
			ended <- err
		}()
	}
	for range 10 {
		if err := <-ended; !errors.Is(err, ErrBusy) {
			t.Errorf("R8: %v", err)
		}
	}
	testenv.Eventually(t, 20*time.Second, "the others wait", func() bool { return c.last.queued.Load() == lastWaiting })
	for _, o := range inside {
		o.end()
	}
	for range lastWaiting {
		if err := <-ended; err != nil {
			t.Errorf("R2: one that waited: %v", err)
		}
	}
}
