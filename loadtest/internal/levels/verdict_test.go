package levels

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// flawless is the result of a level in which everything went well: 100 requests of each step, 20 ms each.
func flawless(t *testing.T, level Level) *report.Run {
	t.Helper()
	h := report.NewHDR(3)
	if err := h.RecordValues(20_000, 100); err != nil {
		t.Fatal(err)
	}
	run := &report.Run{Level: level.ID, Elapsed: 10 * time.Second, Users: report.Users{Asked: 5, Started: 5}}
	for _, name := range level.steps {
		run.Steps = append(run.Steps, report.Step{Name: name, OK: 100, Total: report.FromHDR(h), Service: report.FromHDR(h)})
	}
	if level.writes {
		run.Reconciliations = []report.Reconciliation{{Store: "Postgres", Acknowledged: 100, Stored: 100}, {Store: "Redis", Acknowledged: 100, Stored: 100}}
	}
	return run
}

// fails judges a result and returns the conditions that failed, by name.
func fails(run *report.Run, level Level, limits Limits) (names []string) {
	q := Request{Plan: Plan{VUsers: 5, Rate: rateOf(run)}, Limits: limits}
	q.judge(run, level)
	if level.writes {
		judgeReconciliations(run)
	}
	for _, c := range run.Verdict.Conditions {
		if !c.OK {
			names = append(names, c.Name)
		}
	}
	if (len(names) == 0) != run.Verdict.Passed() {
		names = append(names, "the verdict does not follow from the conditions")
	}
	return names
}

func rateOf(run *report.Run) float64 {
	if run.Arrivals != nil {
		return 10
	}
	return 0
}

// Each step of each level fails its run if it has one failed request, only failed ones, or none at all.
func TestEachStepOfEachLevelCanFail(t *testing.T) {
	for _, level := range All {
		if got := fails(flawless(t, level), level, Limits{}); got != nil {
			t.Errorf("level %s, nothing wrong: %q", level.ID, got)
		}
		for i, name := range level.steps {
			for _, c := range []struct {
				what string
				harm func(*report.Step)
				want []string
			}{
				{"one failure", func(s *report.Step) { s.Failed = 1 }, []string{name + ": failed"}},
				{"only failures", func(s *report.Step) { s.OK, s.Failed = 0, 100 }, []string{name + ": good requests", name + ": failed"}},
				{"no request", func(s *report.Step) { *s = report.Step{Name: s.Name} }, []string{name + ": good requests"}},
				{"no step", func(s *report.Step) { s.Name = "another" }, []string{name + ": good requests"}},
			} {
				run := flawless(t, level)
				c.harm(&run.Steps[i])
				if got := fails(run, level, Limits{}); !slices.Equal(got, c.want) {
					t.Errorf("level %s, %s of %s: failed %q, want %q", level.ID, c.what, name, got, c.want)
				}
			}
		}
	}
}

func TestWhatElseFailsALevel(t *testing.T) {
	writes, err := Find("5")
	if err != nil {
		t.Fatal(err)
	}
	for want, harm := range map[string]func(*report.Run){
		"users that began":   func(r *report.Run) { r.Users.Started = 4 },
		"arrivals dropped":   func(r *report.Run) { r.Arrivals = &report.Arrivals{Asked: 100, Started: 99, Dropped: 1} },
		"bids in Postgres":   func(r *report.Run) { r.Reconciliations[0].Lost = 1 },
		"bids in Redis":      func(r *report.Run) { r.Reconciliations[1].Misplaced = 1 },
		"bids in Redis ":     func(r *report.Run) { r.Reconciliations = r.Reconciliations[:1] },
		"bids in Postgres ":  func(r *report.Run) { r.Reconciliations[0].Altered = 1 },
		"bids in Redis  ":    func(r *report.Run) { r.Reconciliations[1].Problem = "it is away" },
		"bids in Postgres  ": func(r *report.Run) { r.Reconciliations[0].Acknowledged = 0 },
	} {
		run := flawless(t, writes)
		harm(run)
		if got := fails(run, writes, Limits{}); !slices.Equal(got, []string{strings.TrimSpace(want)}) {
			t.Errorf("failed %q, want %q", got, want)
		}
	}
	for _, c := range []struct {
		limits Limits
		want   []string
	}{
		{Limits{MaxP99: 21 * time.Millisecond, MinRate: 30}, nil},
		{Limits{MaxP99: 19 * time.Millisecond}, []string{"bid: p99", "list: p99", "raffle: p99"}},
		{Limits{MinRate: 30.1}, []string{"good requests"}},
	} {
		if got := fails(flawless(t, writes), writes, c.limits); !slices.Equal(got, c.want) {
			t.Errorf("%+v: failed %q, want %q", c.limits, got, c.want)
		}
	}
	// A share of failures can be allowed, and a slow failure counts in the percentile.
	run := flawless(t, writes)
	slow := report.NewHDR(3)
	if err := slow.RecordValues(10_000_000, 5); err != nil {
		t.Fatal(err)
	}
	run.Steps[0].Failed, run.Steps[0].Failures = 5, report.FromHDR(slow)
	if got := fails(run, writes, Limits{MaxErrors: 5, MaxP99: time.Second}); !slices.Equal(got, []string{"bid: p99"}) {
		t.Errorf("failed %q", got)
	}
}

// A level that is bounded by iterations must have made them all, and whatever its users asked for beside must not fail.
func TestLostIterationsAndOtherStepsFail(t *testing.T) {
	level, err := Find("4")
	if err != nil {
		t.Fatal(err)
	}
	for want, q := range map[string]Request{"": {Plan: Plan{VUsers: 5, Iterations: 20}}, "iterations done": {Plan: Plan{VUsers: 5, Iterations: 21}}} {
		run := flawless(t, level)
		q.judge(run, level)
		var failed string
		for _, c := range run.Verdict.Conditions {
			if !c.OK {
				failed += c.Name
			}
		}
		if failed != want {
			t.Errorf("failed %q, want %q", failed, want)
		}
	}
	run := flawless(t, level)
	run.Steps = append(run.Steps, report.Step{Name: "login", Failed: 1}, report.Step{Name: "connect", Part: true, Failed: 1})
	if got := fails(run, level, Limits{}); !slices.Equal(got, []string{"login: failed"}) {
		t.Errorf("failed %q", got)
	}
}

// A journal that lacks an entry proves less than it seems to.
func TestAShortJournalFails(t *testing.T) {
	level, err := Find("4")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/journal"
	j, err := reconcile.CreateJournal(path, "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 99 {
		if err := j.Add(reconcile.Entry{Serial: j.Next(), State: reconcile.Acknowledged, Raffle: 1, ID: int64(n + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, complete := range []bool{false, true} {
		if complete {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
		ledger, err := reconcile.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		run := flawless(t, level)
		judgeLedger(run, ledger)
		held := make(map[string]bool)
		for _, c := range run.Verdict.Conditions {
			held[c.Name] = c.OK
		}
		if held["journal: complete"] != complete || held["journal: entries"] || held["journal: acknowledged"] {
			t.Errorf("closed %v: %+v", complete, run.Verdict.Conditions)
		}
	}
}
