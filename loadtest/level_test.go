package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Every level runs against the whole system; what was written is in Postgres and in Redis exactly once
// (W1, W2, P1).
func TestLevels_W1_W2_P1(t *testing.T) {
	s := startStack(t)
	t.Setenv("LOADTEST_URL", s.url)
	t.Setenv("LOADTEST_DATABASE_URL", s.primary.URL("query"))
	t.Setenv("LOADTEST_PROCESSES", fmt.Sprintf("command=%d,query=%d", s.command.PID(), s.query.PID()))
	work := t.TempDir()
	for _, c := range []struct {
		args  string
		steps []string
		bids  int64
	}{
		{"1 --vusers 4 --iterations 5", []string{"GET /static.html"}, -1},
		{"2 --vusers 4 --iterations 5 --client nethttp", []string{"GET /hello"}, -1},
		{"3 --vusers 2 --iterations 4", []string{"raffles from redis", "raffles from replica"}, -1},
		{"4 --vusers 20 --iterations 10 --ramp-up 0s", []string{"POST bid"}, 200},
		{"5 --vusers 6 --iterations 10 --ramp-up 0s", []string{"POST bid", "list", "raffle"}, 20},
		{"6 --vusers 4 --iterations 5 --think 1ms --ramp-up 0s", []string{"POST bid", "bids", "list", "login", "raffle"}, 0},
	} {
		args := append([]string{"level"}, strings.Fields(c.args+" --max-errors 0 --work "+work)...)
		r := runToReport(t, args)
		var names []string
		for _, step := range r.Steps {
			names = append(names, step.Name)
		}
		if !slices.Equal(names, c.steps) || !r.Verdict.Passed() || len(r.Verdict.Thresholds) != 1 || len(r.CPU) != 3 {
			t.Errorf("%s: steps %q, CPU of %d, %+v, %+v", c.args, names, len(r.CPU), r.Verdict, r.Errors)
		}
		if (c.bids >= 0) != (len(r.Reconciliations) == 2) {
			t.Fatalf("%s: %d reconciliations", c.args, len(r.Reconciliations))
		}
		for _, v := range r.Reconciliations {
			if !v.Clean() || v.Acknowledged == 0 || v.Stored != v.Acknowledged || c.bids > 0 && v.Acknowledged != c.bids {
				t.Errorf("%s: %+v", c.args, v)
			}
		}
	}
	if left, err := filepath.Glob(filepath.Join(work, "journal-*")); err != nil || len(left) > 0 {
		t.Errorf("journals left: %q, %v", left, err)
	}
}

// runToReport runs a command and reads the one report that it writes.
func runToReport(t *testing.T, args []string) *report.Run {
	t.Helper()
	dir := t.TempDir()
	var out, notes bytes.Buffer
	if err := run(t.Context(), append(args, "--out", dir), &out, &notes); err != nil && !errors.Is(err, levels.ErrFailed) {
		t.Fatalf("%q: %v\n%s", args, err, notes.String())
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
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
