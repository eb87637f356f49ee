package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const secret = "a secret of this test alone"

func quick() timing {
	return timing{poll: 20 * time.Millisecond, patience: 500 * time.Millisecond, lease: time.Second,
		lead: 200 * time.Millisecond, grace: 10 * time.Second}
}

// serveAgent starts an agent on loopback and returns it with its address.
func serveAgent(t *testing.T, runner Runner) (*Agent, string) {
	t.Helper()
	a := NewAgent(runner, mustChannel(t, secret), t.Output())
	a.timing = quick()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Serve(t.Context(), l) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return a, l.Addr().String()
}

func newController(t *testing.T, agents ...string) *Controller {
	t.Helper()
	c := NewController(agents, mustChannel(t, secret), t.TempDir(), t.Output())
	c.timing = quick()
	t.Cleanup(c.client.CloseIdleConnections)
	return c
}

func job(users int) Job {
	return Job{ID: "test", Plan: json.RawMessage(`{"iterations":200}`), Share: Share{Agents: 1, Users: users}}
}

// runnerFunc makes a runner of a function.
type runnerFunc func(context.Context, Job, func(report.Progress)) (Outcome, error)

func (f runnerFunc) Run(ctx context.Context, j Job, p func(report.Progress)) (Outcome, error) {
	return f(ctx, j, p)
}

// begin waits for the order and returns when the load starts: at the moment that was ordered, or now if it has passed.
func begin(ctx context.Context, j Job) (time.Time, error) {
	at, err := j.Begin(ctx)
	return at.Add(max(time.Since(at), 0)), err
}

// calculated is a load that is over as soon as it has begun.
func calculated(ctx context.Context, j Job, _ func(report.Progress)) (Outcome, error) {
	at, err := begin(ctx, j)
	if err != nil {
		return Outcome{}, err
	}
	return madeUp(j, at)
}

// madeUp makes up the latencies of each user from its number, so that a load has one right result, however it is
// divided.
func madeUp(j Job, started time.Time) (Outcome, error) {
	total := report.NewHDR(3)
	step := report.Step{Name: "get"}
	seconds := make([]report.Second, 10)
	for user := j.Share.FirstUser; user < j.Share.FirstUser+j.Share.Users; user++ {
		random := rand.New(rand.NewPCG(1, uint64(user)))
		for i := range 200 {
			us := int64(1000 * (1 + random.ExpFloat64()*20))
			if err := total.RecordValue(us); err != nil {
				return Outcome{}, err
			}
			step.OK++
			seconds[i%10].OK++
		}
	}
	for i := range seconds {
		seconds[i].At = i
	}
	step.Total, step.Service, step.Seconds = report.FromHDR(total), report.FromHDR(total), seconds
	return Outcome{Run: &report.Run{Version: report.Version, Level: "2", Started: started, Elapsed: 10 * time.Second,
		Steps: []report.Step{step}, Generator: report.Generator{CPU: time.Second}}}, nil
}

func mustRun(t *testing.T, c *Controller, j Job) (*report.Run, []string) {
	t.Helper()
	run, files, err := c.Run(t.Context(), j, nil)
	if err != nil {
		t.Fatal(err)
	}
	return run, files
}

func TestAnyNumberOfAgentsGivesTheResultOfOne(t *testing.T) {
	var addresses []string
	for range 3 {
		_, addr := serveAgent(t, runnerFunc(calculated))
		addresses = append(addresses, addr)
	}
	one, _ := mustRun(t, newController(t, addresses[0]), job(100))
	for n := 2; n <= 3; n++ {
		many, _ := mustRun(t, newController(t, addresses[:n]...), job(100))
		a, b := one.Steps[0], many.Steps[0]
		if a.OK != 20_000 || b.OK != a.OK || b.Total.Count() != a.OK {
			t.Errorf("%d agents: %d requests, one %d", n, b.OK, a.OK)
		}
		if a.Total.Summary() != b.Total.Summary() {
			t.Errorf("%d agents: %+v, one %+v", n, b.Total.Summary(), a.Total.Summary())
		}
		for i := range a.Seconds {
			if a.Seconds[i].OK != b.Seconds[i].OK {
				t.Errorf("%d agents, second %d: %d requests, one %d", n, i, b.Seconds[i].OK, a.Seconds[i].OK)
			}
		}
		if len(many.Agents) != n || !many.Verdict.Valid() || many.Generator.CPU != time.Duration(n)*time.Second {
			t.Errorf("%d agents: %+v, %+v, CPU %v", n, many.Agents, many.Verdict, many.Generator.CPU)
		}
	}
}

func TestSharesMakeTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "agents")
		users := rapid.IntRange(n, 10_000).Draw(t, "users")
		shares, err := Split(users, n)
		if err != nil {
			t.Fatal(err)
		}
		next := 0
		for i, s := range shares {
			if s.FirstUser != next || s.Users < users/n || s.Users > users/n+1 || s.Agent != i || s.Agents != n {
				t.Fatalf("share %d of %d users: %+v", i, users, s)
			}
			next += s.Users
		}
		if next != users {
			t.Fatalf("%d of %d users", next, users)
		}
	})
	if _, err := Split(1, 2); err == nil {
		t.Error("one user was divided among two agents")
	}
}

// waiting gets ready after a while, then works until it is stopped.
func waiting(prepare time.Duration, working *atomic.Int64) runnerFunc {
	return func(ctx context.Context, j Job, p func(report.Progress)) (Outcome, error) {
		select {
		case <-time.After(prepare):
		case <-ctx.Done():
			return Outcome{}, ctx.Err()
		}
		at, err := begin(ctx, j)
		if err != nil {
			return Outcome{}, err
		}
		working.Add(1)
		defer working.Add(-1)
		p(report.Progress{Elapsed: time.Second, ActiveUsers: j.Share.Users})
		<-ctx.Done()
		return madeUp(j, at)
	}
}

func TestInterruptStopsTheAgentsAndKeepsTheResult(t *testing.T) {
	var working atomic.Int64
	_, a := serveAgent(t, waiting(0, &working))
	// One agent takes longer to get ready than the lease lasts. The other must not take the controller for lost.
	_, b := serveAgent(t, waiting(1500*time.Millisecond, &working))
	ctx, interrupt := context.WithCancel(t.Context())
	var told atomic.Int64
	c := newController(t, a, b)
	go func() {
		for told.Load() < 10 && ctx.Err() == nil {
			<-time.After(10 * time.Millisecond)
		}
		interrupt()
	}()
	run, _, err := c.Run(ctx, job(10), func(p report.Progress) { told.Store(int64(p.ActiveUsers)) })
	if err != nil || !run.Verdict.Valid() || run.Steps[0].OK != 2000 {
		t.Fatalf("%+v, %v", run, err)
	}
	if working.Load() != 0 || told.Load() != 10 {
		t.Errorf("%d agents at work, %d users told of", working.Load(), told.Load())
	}
}

func TestNothingBeginsWhenOneAgentCannot(t *testing.T) {
	var working atomic.Int64
	good, goodAddr := serveAgent(t, waiting(0, &working))
	_, bad := serveAgent(t, runnerFunc(func(context.Context, Job, func(report.Progress)) (Outcome, error) {
		return Outcome{}, errors.New("no such level")
	}))
	j := job(2)
	j.Prepared = func(time.Time) { t.Error("the load began") }
	_, _, err := newController(t, goodAddr, bad).Run(t.Context(), j, nil)
	if err == nil || !strings.Contains(err.Error(), bad+": no such level") {
		t.Errorf("error %v", err)
	}
	testenv.Eventually(t, 5*time.Second, "the good agent to be free again", func() bool { return good.task().look().State.ended() })
	if _, _, err := newController(t, goodAddr, "127.0.0.1:1").Run(t.Context(), job(2), nil); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("with an agent that is not there: %v", err)
	}
}
