package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// The second of two agents begins off the common start.
func TestAgentThatStartsOffMakesTheRunInvalid(t *testing.T) {
	for off, valid := range map[time.Duration]bool{
		0: true, 30 * time.Millisecond: true, -30 * time.Millisecond: true,
		120 * time.Millisecond: false, -200 * time.Millisecond: false,
	} {
		_, good := serveAgent(t, runnerFunc(calculated))
		_, bad := serveAgent(t, runnerFunc(func(ctx context.Context, j Job, _ func(report.Progress)) (Outcome, error) {
			at, err := begin(ctx, j)
			if err != nil {
				return Outcome{}, err
			}
			return madeUp(j, at.Add(off))
		}))
		run, _ := mustRun(t, newController(t, good, bad), job(2))
		v := run.Verdict
		if len(v.Conditions) != 2 || !v.Conditions[0].OK || v.Conditions[1].OK != valid || v.Valid() != valid {
			t.Errorf("%v off: %+v", off, v)
		}
		if want := fmt.Sprintf("start of agent %s: %+d.", bad, off.Milliseconds()); !valid && !strings.HasPrefix(v.Invalid[0], want) {
			t.Errorf("%v off: %q, want %q", off, v.Invalid, want)
		}
	}
}

// A clock 3 s ahead is reported and makes no difference for the start.
func TestClockOffset(t *testing.T) {
	const ahead = 3 * time.Second
	began := make(chan time.Duration, 1) // after the time of the start, in truth
	a, _ := serveAgent(t, runnerFunc(func(ctx context.Context, j Job, _ func(report.Progress)) (Outcome, error) {
		at, err := j.Begin(ctx)
		if err != nil {
			return Outcome{}, err
		}
		late := time.Since(at.Add(-ahead))
		began <- late
		return madeUp(j, at.Add(max(late, 0)))
	}))
	inner := a.handler(t.Context())
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/clock" {
			answer(w, reading{time.Now().Add(ahead)})
			return
		}
		inner.ServeHTTP(w, r)
	}))
	s.TLS = mustChannel(t, secret)
	s.StartTLS()
	t.Cleanup(s.Close)
	var notes strings.Builder
	c := newController(t, s.Listener.Addr().String())
	c.notes = &notes
	run, _ := mustRun(t, c, job(1))
	if offset := run.Agents[0].ClockOffset; (offset - ahead).Abs() > time.Second {
		t.Errorf("offset %v, want %v", offset, ahead)
	}
	if !strings.Contains(notes.String(), "WARNING: the clock") {
		t.Errorf("notes %q", notes.String())
	}
	if late := <-began; late.Abs() > time.Second {
		t.Errorf("the start was ordered for %v ago", late)
	}
	if !run.Verdict.Valid() || time.Since(run.Started).Abs() > time.Second {
		t.Errorf("started %v ago: %+v", time.Since(run.Started), run.Verdict)
	}
}

// One after the other would take 13 s, and the first agent would stop by itself after one.
func TestThirtyAgentsFarAwayStartTogether(t *testing.T) {
	var addresses []string
	for range 30 {
		_, addr := serveAgent(t, runnerFunc(calculated))
		far := testenv.StartProxy(t, addr)
		far.SetDelay(25*time.Millisecond, 25*time.Millisecond)
		addresses = append(addresses, far.Addr())
	}
	c := newController(t, addresses...)
	c.timing.lead = time.Second
	run, _ := mustRun(t, c, job(30))
	if len(run.Agents) != 30 || !run.Verdict.Valid() {
		t.Errorf("%d agents, %+v", len(run.Agents), run.Verdict)
	}
}

// What is counted from this call on has neither the logins nor the wait for the last agent in it.
func TestPreparedIsCalledOnceAllAgentsAreReady(t *testing.T) {
	var agents []*Agent
	var addresses []string
	for _, prepare := range []time.Duration{0, 200 * time.Millisecond} {
		a, addr := serveAgent(t, runnerFunc(func(ctx context.Context, j Job, p func(report.Progress)) (Outcome, error) {
			<-time.After(prepare)
			return calculated(ctx, j, p)
		}))
		agents, addresses = append(agents, a), append(addresses, addr)
	}
	calls := 0
	j := job(2)
	j.Prepared = func(time.Time) {
		calls++
		for _, a := range agents {
			if s := a.task().look().State; s != Ready {
				t.Errorf("an agent is %s", s)
			}
		}
	}
	mustRun(t, newController(t, addresses...), j)
	if calls != 1 {
		t.Errorf("called %d times", calls)
	}
	alone := Job{Prepared: func(time.Time) { calls++ }}
	if at, err := alone.Begin(t.Context()); err != nil || !at.IsZero() || calls != 2 {
		t.Errorf("without agents: %v, %v, called %d times", at, err, calls-1)
	}
}
