package bidbook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// W4: a read waits for its turn for a bounded time, and turns are given back.
func TestTurnsAreBounded_W4(t *testing.T) {
	p := newGate(1, 10*time.Millisecond, 10)
	if err := p.enter(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := p.enter(t.Context(), true); !errors.Is(err, ErrBusy) {
		t.Errorf("a second turn: %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	p.queue = time.Minute
	if err := p.enter(gone, true); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that has left: %v", err)
	}
	p.leave()
	if err := p.enter(t.Context(), true); err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}

// Only a failure of the path itself counts against the path.
func TestVerdict(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want outcome
	}{
		{t.Context(), nil, worked}, {t.Context(), ErrNotFound, worked}, {t.Context(), ErrBehind, worked}, {t.Context(), ErrIncomplete, worked},
		{t.Context(), ErrBusy, unknown}, {t.Context(), ErrCircuitOpen, unknown}, {gone, context.Canceled, unknown},
		{t.Context(), fmt.Errorf("replica: %w", ErrTooMuch), unknown},
		{t.Context(), fmt.Errorf("%w: %w", errShort, context.DeadlineExceeded), unknown},
		{t.Context(), context.DeadlineExceeded, failed}, {t.Context(), errors.New("connection refused"), failed},
	} {
		if got := verdict(c.ctx, c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// One poller serves all reads that wait, and an error wakes them.
func TestWaiter(t *testing.T) {
	answers := make(chan Position)
	broken := errors.New("broken")
	w := &waiter{reached: new(primary.Watch).Reached, every: time.Millisecond, limit: time.Second, probe: func(ctx context.Context) (Position, error) {
		select {
		case at := <-answers:
			return at, nil
		case <-ctx.Done():
			return Position{}, broken
		}
	}}
	first, second := make(chan error), make(chan error)
	go func() { first <- w.await(t.Context(), lsn.Position{Timeline: 1, LSN: 10}, time.Minute) }()
	answers <- Position{At: lsn.Position{Timeline: 1, LSN: 9}}
	go func() { second <- w.await(t.Context(), lsn.Position{Timeline: 1, LSN: 20}, time.Minute) }()
	answers <- Position{At: lsn.Position{Timeline: 1, LSN: 10}}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-second; !errors.Is(err, broken) {
		t.Errorf("second got %v", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := w.await(gone, lsn.Position{Timeline: 1, LSN: 10}, time.Minute); !errors.Is(err, ErrBehind) {
		t.Errorf("after the end of the request: %v", err)
	}
}

// R6: a second try that had too little of the budget left is no failure of the path.
func TestAShortSecondTryIsNoFailure_R6(t *testing.T) {
	at := Position{At: lsn.Position{Timeline: 1, LSN: 10}}
	p := &path{name: PathStandby, budget: 20 * time.Millisecond, gate: newGate(1, time.Second, 10),
		waiter: &waiter{reached: new(primary.Watch).Reached, every: time.Millisecond, limit: time.Second, probe: func(context.Context) (Position, error) { return at, nil }}}
	c := &Chain{staleness: Staleness{MinLSN: time.Second}, metrics: newMetrics(prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler)}
	tries := 0
	look := func(ctx context.Context, _ Reader, _ lsn.Position) (struct{}, Position, error) {
		if tries++; tries == 1 {
			<-time.After(15 * time.Millisecond) // of a budget of 20
			return struct{}{}, at, ErrBehind
		}
		<-ctx.Done()
		return struct{}{}, at, ctx.Err()
	}
	for range failuresToOpen + 1 {
		tries = 0
		if _, _, err := try(t.Context(), c, step{path: p}, Want{Min: at.At}, look); !errors.Is(err, errShort) || tries != 2 {
			t.Fatalf("R6: %d tries: %v", tries, err)
		}
	}
	if p.open() {
		t.Error("R6: the path is spared")
	}
}

// R3: Redis is left late and taken back late, so that it does not change with each heartbeat.
func TestLagHasHysteresis_R3(t *testing.T) {
	for _, c := range []struct {
		millis    int64
		was, want bool
	}{{1000, false, false}, {1001, false, true}, {600, true, true}, {500, true, false}, {600, false, false}} {
		if got := lags(Position{LagMillis: c.millis}, time.Second, c.was); got != c.want {
			t.Errorf("R3: %d ms, left before: %v: %v", c.millis, c.was, got)
		}
	}
}

// R8: a read that no path has answered asks again only while the primary or a path changes, if no path is forced, and if not too
// many reads do so already.
func TestAReadWaitsOutAChangeOfThePrimary_R8(t *testing.T) {
	gone := errors.New("the server has stopped")
	for _, c := range []struct {
		name    string
		change  bool
		path    int           // that was lost
		since   time.Duration // since it was lost; 0: it was not
		want    Want
		waiting int // other reads
		fails   int // how often all paths fail
		tries   int
		found   bool
	}{
		{"a change", true, 0, 0, Want{}, 0, 2, 3, true},
		{"no change", false, 0, 0, Want{}, 0, 2, 1, false},
		{"a forced path", true, 0, 0, Want{Force: PathReplica}, 0, 2, 1, false},
		{"too many reads wait", true, 0, 0, Want{}, 1, 2, 1, false},
		{"Redis was lost", false, 0, time.Millisecond, Want{}, 0, 2, 3, true},
		{"Redis is away for long", false, 0, pathTurn, Want{}, 0, 2, 1, false},
		{"the standby is back", false, 2, time.Millisecond, Want{}, 0, 2, 3, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			chain := chainOf(pathOf(PathRedis), pathOf(PathReplica), pathOf(PathStandby), pathOf(PathPrimary))
			chain.changing = func() bool { return c.change }
			if c.since > 0 {
				chain.paths[c.path].turn(time.Now().Add(-c.since))
			}
			for range c.waiting {
				chain.changes.slots <- struct{}{}
			}
			tries := 0
			_, _, err := run(t.Context(), chain, c.want, func(_ context.Context, r Reader, _ lsn.Position) (int, Position, error) {
				if r.(*named).name == PathReplica {
					tries++
				}
				if tries <= c.fails {
					return 0, Position{}, gone
				}
				return 0, Position{}, nil
			})
			if tries != c.tries || (err == nil) != c.found || err != nil && !errors.Is(err, gone) {
				t.Errorf("R8: %d tries, %v; want %d, found %v", tries, err, c.tries, c.found)
			}
			if n := len(chain.changes.slots); n != c.waiting {
				t.Errorf("R8: %d places are taken", n)
			}
		})
	}
}

// R8: while the primary changes, a read with a Min-LSN waits longer for Redis, because the replicator goes on soon. Not all reads
// may, so that they leave places for others.
func TestAReadWaitsLongerForRedisWhileThePrimaryChanges_R8(t *testing.T) {
	redis, replica := pathOf(PathRedis), pathOf(PathReplica)
	chain := chainOf(redis, replica)
	chain.staleness.MinLSN = time.Millisecond
	for _, c := range []struct {
		name   string
		change bool
		path   *path
		want   Want
		others int
		long   bool
	}{
		{"a change", true, redis, Want{}, 0, true},
		{"no change", false, redis, Want{}, 0, false},
		{"another path", true, replica, Want{}, 0, false},
		{"a forced path", true, redis, Want{Force: PathRedis}, 0, false},
		{"enough others wait", true, redis, Want{}, 1, false},
	} {
		chain.changing = func() bool { return c.change }
		for range c.others {
			chain.follows.slots <- struct{}{}
		}
		at := Position{At: lsn.Position{Timeline: 1, LSN: 1}}
		c.path.waiter = &waiter{every: time.Millisecond, limit: time.Second, reached: func(lsn.Position, lsn.Position) bool { return false },
			probe: func(context.Context) (Position, error) { return at, nil }}
		begun := time.Now()
		err := chain.await(t.Context(), c.path, c.want)
		if took := time.Since(begun); !errors.Is(err, ErrBehind) || (took >= followPatience) != c.long {
			t.Errorf("R8: %s: %v after %v", c.name, err, took)
		}
		if n := len(chain.follows.slots); n != c.others {
			t.Errorf("R8: %s: %d places are taken", c.name, n)
		}
	}
}

// R8: reads wait for a path that was just lost or found. They do not wait for a path that has flapped for longer.
func TestAPathThatFlapsIsNoChange_R8(t *testing.T) {
	p, begun := pathOf(PathReplica), time.Now()
	at := begun.Add
	p.turn(begun)
	if !p.turns(at(pathTurn-1)) || p.turns(at(pathTurn)) {
		t.Error("R8: not for that moment")
	}
	for d := time.Duration(0); d <= flapTime; d += time.Second {
		p.turn(at(d))
	}
	if !p.turns(at(flapTime-1)) || p.turns(at(flapTime)) {
		t.Error("R8: for as long as it flaps")
	}
	p.turn(at(2*flapTime + pathTurn))
	if !p.turns(at(2*flapTime + pathTurn + 1)) {
		t.Error("R8: not after a while without that")
	}
}
