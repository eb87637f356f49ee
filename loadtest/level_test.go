package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

func TestAgainstTheWholeSystem(t *testing.T) {
	s := startStack(t)
	t.Setenv("LOADTEST_URL", s.url)
	t.Setenv("LOADTEST_DATABASE_URL", s.primary.URL("replicator"))
	t.Run("a bid is read back: R2", s.tryABid)
	t.Run("every level runs, and what it wrote is in Postgres and Redis once: W1, W2, P1", s.everyLevel)
	t.Run("an interrupted level is judged", s.interrupted)
	t.Run("two agents write what one would: W1, W2", s.twoAgents)
	t.Run("planted faults are caught: W1, W2", s.plantedFaults)
	t.Run("faults planted in the read model are caught: P1, R1", s.plantedInTheReadModel)
	t.Run("a drill counts what became of the load: W1, W2, R2", s.drills)
	t.Run("faults planted in a drill are caught: W1", s.plantedInDrill)
	t.Run("the paths give the same bytes: R5", s.samePaths)
}

func (s *stack) everyLevel(t *testing.T) {
	t.Setenv("LOADTEST_PROCESSES", fmt.Sprintf("command=%d,query=%d", s.command.PID(), s.query.PID()))
	work := t.TempDir()
	for _, c := range []struct {
		args  string
		steps []string
		bids  int64
	}{
		{"1 --vusers 4 --iterations 5", []string{"GET /static.html", "connect"}, -1},
		{"2 --vusers 4 --iterations 5 --client nethttp", []string{"GET /hello", "connect"}, -1},
		{"3 --vusers 2 --iterations 4", []string{"connect", "raffles from redis", "raffles from replica"}, -1},
		{"4 --vusers 20 --iterations 10 --ramp-up 0s", []string{"bid", "bid, attempts", "connect"}, 200},
		{"5 --vusers 6 --iterations 10 --ramp-up 0s", []string{"bid", "bid, attempts", "connect", "list", "raffle"}, 20},
		{"6 --vusers 4 --iterations 5 --think 1ms --ramp-up 0s", []string{"bid", "bid, attempts", "bids", "connect", "list", "login", "own bid", "raffle"}, 0},
		{"7 --vusers 10 --duration 2s --think 100ms --ramp-up 100ms", []string{"bid", "bid, attempts", "bid, too late", "connect", "raffle"}, 0},
		{"mix --mix bid=4,list=1,raffle=1,bids=1,mine=1,cancel=1 --vusers 4 --iterations 30 --ramp-up 0s",
			[]string{"bid", "bid, attempts", "bids", "cancel", "connect", "list", "mine", "raffle"}, 0},
		{"mix --mix bid=1,list=1 --vusers 8 --stages 500ms:40,500ms:40,500ms:0", []string{"bid", "bid, attempts", "connect", "list"}, 0},
		{"mix --mix list=1 --vusers 2 --iterations 5 --ramp-up 0s", []string{"connect", "list"}, -1},
	} {
		args := append([]string{"level"}, strings.Fields(c.args+" --max-errors 50 --work "+work)...)
		r := runToReport(t.Context(), t, args)
		var names []string
		for _, step := range r.Steps {
			if !strings.Contains(step.Name, ", from ") { // which paths answer is up to the system
				names = append(names, step.Name)
			}
		}
		if !slices.Equal(names, c.steps) || !r.Verdict.Passed() || len(r.CPU) != 3 || len(r.Services) != 2 {
			t.Errorf("%s: steps %q, CPU of %d, %+v, %+v", c.args, names, len(r.CPU), r.Verdict, r.Errors)
		}
		if (c.bids >= 0) != (len(r.Reconciliations) == 2) {
			t.Fatalf("%s: %d reconciliations", c.args, len(r.Reconciliations))
		}
		for _, v := range r.Reconciliations {
			if !v.Clean() || v.Acknowledged == 0 || v.Stored > v.Acknowledged || v.Stored < v.Acknowledged && !strings.Contains(c.args, "cancel") || c.bids > 0 && v.Acknowledged != c.bids {
				t.Errorf("%s: %+v", c.args, v)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(work, "journal-*")); err != nil || len(left) > 0 {
		t.Errorf("journals left: %q, %v", left, err)
	}
}

// runToReport runs a command and reads the one report that it writes.
func runToReport(ctx context.Context, t *testing.T, args []string) *report.Run {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("LOCAL_DIR", dir)
	var out, notes bytes.Buffer
	if err := program.Run(ctx, args, &out, &notes); err != nil && !errors.Is(err, levels.ErrFailed) {
		t.Fatalf("%q: %v\n%s", args, err, notes.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "reports", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%q: reports %q, %v\n%s", args, files, err, notes.String())
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var r report.Run
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestWhatIsGivenEndsTheLoad(t *testing.T) {
	for args, want := range map[string]levels.Plan{
		"4":                              {Iterations: 1000},
		"4 --duration 5s":                {Duration: 5 * time.Second},
		"4 --stages 1s:5,2s:0":           {Duration: 3 * time.Second},
		"1 --iterations 3":               {Iterations: 3},
		"1 --iterations 3 --stages 1s:5": {Iterations: 3, Duration: time.Second},
	} {
		q, _, err := parseLevel(strings.Fields(args), io.Discard)
		if err != nil || q.Plan.Iterations != want.Iterations || q.Plan.Duration != want.Duration {
			t.Errorf("%s: %d iterations, %v, %v", args, q.Plan.Iterations, q.Plan.Duration, err)
		}
	}
}

// Ctrl-C ends a level early and with a report that is reconciled like any other, but does not pass.
func (s *stack) interrupted(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer cancel()
	r := runToReport(ctx, t, strings.Fields("level 5 --vusers 3 --duration 1m --logins 1 --work "+t.TempDir()))
	if got := fmt.Sprint(r.Verdict.Failed); got != "[interrupted before its end]" || len(r.Reconciliations) != 2 || !r.Reconciliations[1].Clean() {
		t.Errorf("failed for %s, %+v", got, r.Reconciliations)
	}
}

func (s *stack) samePaths(t *testing.T) {
	t.Setenv("LOADTEST_STANDBY_URL", s.standby.URL("query"))
	r := runToReport(t.Context(), t, strings.Fields("paths --rate 200 --size-rate 20 --blocks 2 --block 100ms --warm 20 --cold 10 --scans 2"))
	// One for the bodies of each lookup, and one for each of five warm and four cold paths: only the raffles have cold keys.
	if len(r.Paths) != 2 || len(r.Verdict.Failed) > 0 || len(r.Verdict.Conditions) != 2+2*5+4 {
		t.Fatalf("%d comparisons, %+v, %+v", len(r.Paths), r.Verdict, r.Errors)
	}
	c := r.Paths[0]
	if c.Compared != 20 || c.Different != 0 || c.Base != "redis" {
		t.Errorf("%+v", c)
	}
	for _, c := range r.Paths {
		if last := c.Paths[len(c.Paths)-1]; last.Path != "scan" || last.OK != 2 || !strings.Contains(last.Explain, "Seq Scan") {
			t.Errorf("%s: %+v", c.Name, last)
		}
	}
	seen := make(map[string]report.PathResult)
	for _, p := range c.Paths {
		seen[p.Path+" "+p.Cache] = p
	}
	for _, path := range []string{"redis", "replica", "standby", "primary"} {
		cold, warm := seen[path+" cold"], seen[path+" warm"]
		// Some reads may find no time on a busy machine.
		if cold.OK+cold.Failed != 10 || warm.OK+warm.Failed != 40 || cold.Failed+warm.Failed > 5 || warm.Latency.Count() != warm.OK {
			t.Errorf("%s: %d cold, %d warm, %d failed", path, cold.OK, warm.OK, cold.Failed+warm.Failed)
		}
		if plan := strings.Contains(warm.Explain, "Buffers:"); plan != (path != "redis") {
			t.Errorf("the plan of %s is %q", path, warm.Explain)
		}
	}
}
