package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/engine"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// agentVar makes this test's binary an agent, so that tests have real processes to kill.
const agentVar = "LOADTEST_TEST_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(agentVar) == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	a := NewAgent(runnerFunc(load), secret, os.Stderr)
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
	if err := json.Unmarshal(j.Plan, &p); err != nil {
		return Outcome{}, err
	}
	start, err := j.Begin(ctx)
	if err != nil {
		return Outcome{}, err
	}
	c := engine.Config{Addr: p.Addr, FirstUser: j.Share.FirstUser, VUsers: j.Share.Users, Iterations: p.Iterations,
		Duration: time.Minute, Start: start, Progress: progress}
	recorded, err := engine.Run(ctx, c, func(u *engine.User) error {
		u.Request.SetRequestURI(fmt.Sprintf("http://%s/?user=%d&i=%d", p.Addr, u.ID, u.Iteration))
		_ = u.Do("get", nil) // recorded as a failure
		return nil
	})
	if recorded == nil {
		return Outcome{}, err
	}
	run := &report.Run{Version: report.Version, Level: "2"}
	recorded.Fill(run)
	return Outcome{Run: run}, err
}

// startProcess starts an agent of its own and returns it with its address.
func startProcess(t *testing.T) (*os.Process, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), agentVar+"=1")
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be dead already
		_ = cmd.Wait()         // it was killed
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return cmd.Process, strings.TrimSpace(line)
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

// The bounds leave a busy machine as much again as the server takes.
func TestTwoAgentsMeasureWhatOneDoes(t *testing.T) {
	server := serveKnownLatency(t)
	_, a := startProcess(t)
	_, b := startProcess(t)
	for _, agents := range [][]string{{a}, {a, b}} {
		run, _ := mustRun(t, newController(t, agents...), loadJob(t, server, 20, 40))
		step := run.Steps[0]
		if step.OK != 800 || step.Total.Count() != 800 || step.Failed != 0 {
			t.Errorf("%d agents: %d good of 800, %d in the histogram, %d failed", len(agents), step.OK, step.Total.Count(), step.Failed)
		}
		for _, c := range []struct {
			name      string
			got, want time.Duration
		}{{"p50", step.Total.Summary().P50, fast}, {"p90", step.Total.Summary().P90, fast}, {"p99", step.Total.Summary().P99, slow}} {
			if c.got < c.want || c.got > 2*c.want {
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
			if err := victim.Kill(); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if run.Verdict.Valid() || !strings.Contains(run.Verdict.Invalid[0], "agent "+b+": lost") {
		t.Errorf("verdict %+v", run.Verdict)
	}
	if len(run.Agents) != 1 || run.Agents[0].Name != a || run.Steps[0].OK == 0 {
		t.Errorf("agents %+v, steps %+v", run.Agents, run.Steps[0])
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the others went on for %v", took)
	}
}

// A clock 3 s ahead is reported and makes no difference for the start.
func TestClockOffset(t *testing.T) {
	const ahead = 3 * time.Second
	began := make(chan time.Time, 1)
	a, _ := serveAgent(t, runnerFunc(func(ctx context.Context, j Job, p func(report.Progress)) (Outcome, error) {
		at, err := j.Begin(ctx)
		if err != nil {
			return Outcome{}, err
		}
		began <- at
		return calculated(ctx, j, p)
	}))
	inner := a.handler(t.Context())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/clock" {
			answer(w, reading{time.Now().Add(ahead)})
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	var notes strings.Builder
	c := newController(t, s.Listener.Addr().String())
	c.notes = &notes
	run, _ := mustRun(t, c, job(1))
	if offset := run.Agents[0].ClockOffset; offset < ahead-time.Second || offset > ahead+time.Second {
		t.Errorf("offset %v, want %v", offset, ahead)
	}
	if !strings.Contains(notes.String(), "WARNING: the clock") {
		t.Errorf("notes %q", notes.String())
	}
	if late := time.Since((<-began).Add(-ahead)); late < -time.Second || late > 10*time.Second {
		t.Errorf("the start was ordered for %v ago", late)
	}
}
