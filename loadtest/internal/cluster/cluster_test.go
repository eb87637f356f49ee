package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const secret = Token("a secret of this test alone")

func quick() timing {
	return timing{poll: 20 * time.Millisecond, patience: 500 * time.Millisecond, lease: time.Second,
		lead: 50 * time.Millisecond, grace: 10 * time.Second}
}

// serveAgent starts an agent on loopback and returns it with its address.
func serveAgent(t *testing.T, runner Runner) (*Agent, string) {
	t.Helper()
	a := NewAgent(runner, secret, t.Output())
	a.timing = quick()
	s := httptest.NewServer(a.handler(t.Context()))
	t.Cleanup(s.Close)
	return a, s.Listener.Addr().String()
}

func newController(t *testing.T, agents ...string) *Controller {
	t.Helper()
	c := NewController(agents, secret, t.TempDir(), t.Output())
	c.timing = quick()
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

// calculated makes up the latencies of each user from its number, so that a load has one right result,
// however it is divided.
func calculated(_ context.Context, j Job, _ func(report.Progress)) (Outcome, error) {
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
	return Outcome{Run: &report.Run{Version: report.Version, Level: "2", Started: time.Now(), Elapsed: 10 * time.Second,
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
		rate := rapid.SampledFrom([]float64{0, 0.5, 1000}).Draw(t, "rate")
		shares, err := Split(users, rate, n)
		if err != nil {
			t.Fatal(err)
		}
		next, sum := 0, 0.0
		for i, s := range shares {
			if s.FirstUser != next || s.Users < users/n || s.Users > users/n+1 || s.Agent != i || s.Agents != n {
				t.Fatalf("share %d of %d users: %+v", i, users, s)
			}
			if rate > 0 && (s.Delay.Seconds() < float64(i)/rate-1e-6 || s.Delay.Seconds() >= float64(n)/rate) {
				t.Fatalf("share %d begins %v late at %v/s", i, s.Delay, rate)
			}
			next, sum = next+s.Users, sum+s.Rate
		}
		if next != users || sum < rate*0.999 || sum > rate*1.001 {
			t.Fatalf("%d of %d users, %v of %v/s", next, users, sum, rate)
		}
	})
	if _, err := Split(1, 0, 2); err == nil {
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
		if _, err := j.Begin(ctx); err != nil {
			return Outcome{}, err
		}
		working.Add(1)
		defer working.Add(-1)
		p(report.Progress{Elapsed: time.Second, ActiveUsers: j.Share.Users})
		<-ctx.Done()
		return calculated(ctx, j, p)
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

func TestAgentStopsWhenItsControllerIsGone(t *testing.T) {
	var working atomic.Int64
	a, addr := serveAgent(t, waiting(0, &working))
	m := &member{addr: addr, token: secret, client: newController(t).client, job: job(1)}
	if err := m.call(t.Context(), "POST", "/v1/jobs", m.job, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.call(t.Context(), "POST", m.path("/start"), startOrder{time.Now()}, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-a.task().done:
	case <-time.After(10 * time.Second):
		t.Fatal("the agent goes on without its controller")
	}
	o, ok := a.task().result()
	if !ok || !strings.Contains(fmt.Sprint(o.Run.Verdict.Failed), "controller") {
		t.Errorf("%+v", o.Run)
	}
}

func TestNothingBeginsWhenOneAgentCannot(t *testing.T) {
	var working atomic.Int64
	good, goodAddr := serveAgent(t, waiting(0, &working))
	_, bad := serveAgent(t, runnerFunc(func(context.Context, Job, func(report.Progress)) (Outcome, error) {
		return Outcome{}, errors.New("no such level")
	}))
	_, _, err := newController(t, goodAddr, bad).Run(t.Context(), job(2), nil)
	if err == nil || !strings.Contains(err.Error(), bad+": no such level") {
		t.Errorf("error %v", err)
	}
	testenv.Eventually(t, 5*time.Second, "the good agent to be free again", func() bool { return good.task().look().State.ended() })
	if _, _, err := newController(t, goodAddr, "127.0.0.1:1").Run(t.Context(), job(2), nil); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("with an agent that is not there: %v", err)
	}
}

func TestAgentDoesOneJobAtATime(t *testing.T) {
	var working atomic.Int64
	_, addr := serveAgent(t, waiting(time.Minute, &working))
	m := &member{addr: addr, token: secret, client: newController(t).client, job: job(1)}
	if err := m.call(t.Context(), "POST", "/v1/jobs", m.job, nil); err != nil {
		t.Fatal(err)
	}
	var refused refusal
	if _, _, err := newController(t, addr).Run(t.Context(), job(1), nil); !errors.As(err, &refused) || refused.code != 409 {
		t.Errorf("a second job: %v", err)
	}
}

func TestFilesComeToTheControllerAndLeaveTheAgent(t *testing.T) {
	dir := t.TempDir()
	_, addr := serveAgent(t, runnerFunc(func(ctx context.Context, j Job, p func(report.Progress)) (Outcome, error) {
		o, err := calculated(ctx, j, p)
		name := filepath.Join(dir, "journal")
		o.Files = map[string]string{"journal": name}
		return o, errors.Join(err, os.WriteFile(name, bytes.Repeat([]byte("key "), 1<<18), 0o600))
	}))
	_, files := mustRun(t, newController(t, addr), job(1))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	if raw, err := os.ReadFile(files[0]); err != nil || len(raw) != 1<<20 {
		t.Errorf("%d bytes, %v", len(raw), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left at the agent: %v, %v", left, err)
	}
}
