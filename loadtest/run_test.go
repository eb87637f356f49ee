package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// startAgent runs the agent's subcommand until the test ends and returns its address.
func startAgent(t *testing.T, work string) string {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- program.Run(ctx, []string{"agent", "--listen", addr, "--work", work}, io.Discard, t.Output())
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("agent %s: %v", addr, err)
		}
	})
	testenv.Eventually(t, 10*time.Second, "the agent to listen", func() bool {
		conn, err := net.Dial("tcp", addr)
		return err == nil && conn.Close() == nil
	})
	return addr
}

// Each agent logs in and writes with keys of its own; the controller reconciles the bids of both.
func (s *stack) twoAgents(t *testing.T) {
	t.Setenv("LOADTEST_TOKEN", "a secret of this test alone")
	work := t.TempDir()
	a, b := startAgent(t, work), startAgent(t, work)
	r := runToReport(t.Context(), t, strings.Fields("run --agents "+a+","+b+" 4 --vusers 20 --iterations 10 --ramp-up 0s --work "+work))
	if !r.Verdict.Passed() || len(r.Agents) != 2 || r.Agents[0].OK != 100 || r.Agents[1].OK != 100 {
		t.Errorf("%+v, agents %+v, errors %+v", r.Verdict, r.Agents, r.Errors)
	}
	if len(r.Steps) != 3 || r.Steps[0].Name != "bid" || r.Steps[0].Total.Count() != 200 {
		t.Errorf("steps %+v", r.Steps)
	}
	for _, c := range r.Reconciliations {
		if !c.Clean() || c.Acknowledged != 200 || c.Stored != 200 {
			t.Errorf("%+v", c)
		}
	}
	// Each agent takes every other arrival.
	r = runToReport(t.Context(), t, strings.Fields("run --agents "+a+","+b+" 2 --vusers 10 --stages 500ms:61,500ms:61"))
	asked := int64(0)
	for _, s := range r.Samples {
		asked += s.Asked
	}
	if !r.Verdict.Passed() || *r.Arrivals != (report.Arrivals{Asked: 46, Started: 46}) || asked != 46 || r.Agents[0].OK != 23 || r.Agents[1].OK != 23 {
		t.Errorf("stages: %+v, %d, %+v, %+v", r.Arrivals, asked, r.Agents, r.Verdict)
	}
	// The controller opens and closes the raffle of a drop for both.
	r = runToReport(t.Context(), t, strings.Fields("run --agents "+a+","+b+" 7 --vusers 10 --duration 2s --think 100ms --ramp-up 100ms --work "+work))
	if !r.Verdict.Passed() || len(r.Agents) != 2 {
		t.Errorf("level 7 with two agents: %+v, errors %+v", r.Verdict, r.Errors)
	}
	if left, err := filepath.Glob(filepath.Join(work, "*", "journal-*")); err != nil || len(left) > 0 {
		t.Errorf("journals left at the agents: %q, %v", left, err)
	}
}

func TestRunRefusesProcs(t *testing.T) {
	err := program.Run(t.Context(), strings.Fields("run --agents a:1 2 --procs 1"), io.Discard, t.Output())
	if err == nil || program.Status(err, io.Discard) != 2 || !strings.Contains(err.Error(), `give it to each "loadtest agent"`) {
		t.Errorf("%v", err)
	}
}
