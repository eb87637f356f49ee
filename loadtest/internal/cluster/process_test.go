package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// agentVar holds the address at which this test's binary is an agent, so that tests have real processes to kill.
const agentVar = "LOADTEST_TEST_AGENT"

func TestMain(m *testing.M) {
	addr := os.Getenv(agentVar)
	if addr == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	channel, err := newChannel(secret)
	if err != nil {
		panic(err)
	}
	a := NewAgent(runnerFunc(load), channel, os.Stderr)
	a.timing = quick()
	if err := a.Serve(context.Background(), l); err != nil {
		panic(err)
	}
}

// plan is what load does.
type plan struct {
	Addr       string `json:"addr"`
	Iterations int    `json:"iterations"`
}

// load is a real load with the engine.
func load(ctx context.Context, j Job, progress func(report.Progress)) (Outcome, error) {
	var p plan
	if err := j.DecodePlan(&p); err != nil {
		return Outcome{}, err
	}
	start, err := j.Begin(ctx)
	if err != nil {
		return Outcome{}, err
	}
	c := engine.Config{Addr: p.Addr, FirstUser: j.Share.FirstUser, VUsers: j.Share.Users, Iterations: p.Iterations,
		Duration: time.Minute, Start: start, Progress: progress}
	run, err := engine.Run(ctx, c, func(u *engine.User) error {
		u.Request.SetRequestURI(fmt.Sprintf("http://%s/?user=%d&i=%d", p.Addr, u.ID, u.Iteration))
		_ = u.Do("get", nil) // recorded as a failure
		return nil
	})
	if run == nil {
		return Outcome{}, err
	}
	run.Level = "2"
	return Outcome{Run: run}, err
}

// startProcess starts an agent of its own and returns it with its address.
func startProcess(t *testing.T) (*testenv.Program, string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	program := testenv.StartProcess(t, testenv.Process{Path: path, Env: []string{agentVar + "=" + addr}})
	testenv.EventuallyNoError(t, 10*time.Second, "the agent to listen", func() error {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return program, addr
}

// The server takes 200 ms for each user's every twentieth request and 20 ms for the others.
const fast, slow, slowEvery = 20 * time.Millisecond, 200 * time.Millisecond, 20

func serveKnownLatency(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var i int
		wait := fast
		if _, err := fmt.Sscan(r.FormValue("i"), &i); err == nil && i%slowEvery == 0 {
			wait = slow
		}
		<-time.After(wait)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func loadJob(t *testing.T, addr string, users, iterations int) Job {
	t.Helper()
	raw, err := json.Marshal(plan{addr, iterations})
	if err != nil {
		t.Fatal(err)
	}
	return Job{ID: "test", Plan: raw, Share: Share{Agents: 1, Users: users}}
}

// The bounds leave a busy machine ten times as long as the server takes.
func TestTwoAgentsMeasureWhatOneDoes(t *testing.T) {
	server := serveKnownLatency(t)
	_, a := startProcess(t)
	_, b := startProcess(t)
	for _, agents := range [][]string{{a}, {a, b}} {
		run, _ := mustRun(t, newController(t, agents...), loadJob(t, server, 20, 40))
		step := run.All()
		if step.OK != 800 || step.Total.Count() != 800 || step.Failed != 0 {
			t.Errorf("%d agents: %d good of 800, %d in the histogram, %d failed", len(agents), step.OK, step.Total.Count(), step.Failed)
		}
		for _, c := range []struct {
			name      string
			got, want time.Duration
		}{{"p50", step.Total.Summary().P50, fast}, {"p90", step.Total.Summary().P90, fast}, {"p99", step.Total.Summary().P99, slow}} {
			if c.got < c.want || c.got > 10*c.want {
				t.Errorf("%d agents: %s is %v, the server takes %v", len(agents), c.name, c.got, c.want)
			}
		}
	}
}

func TestKilledAgentMakesTheRunInvalid(t *testing.T) {
	server := serveKnownLatency(t)
	_, a := startProcess(t)
	victim, b := startProcess(t)
	c := newController(t, a, b)
	killed := false
	start := time.Now()
	run, _, err := c.Run(t.Context(), loadJob(t, server, 20, 100_000), func(p report.Progress) {
		if p.Done > 0 && !killed {
			killed = true
			victim.Kill(t)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	lost := func(reason string) bool { return strings.HasPrefix(reason, "agent "+b+": lost") }
	if !slices.ContainsFunc(run.Verdict.Invalid, lost) {
		t.Errorf("verdict %+v", run.Verdict)
	}
	if len(run.Agents) != 1 || run.Agents[0].Name != a || run.All().OK == 0 {
		t.Errorf("agents %+v, steps %+v", run.Agents, run.Steps)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the others went on for %v", took)
	}
}
