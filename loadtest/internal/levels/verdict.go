package levels

import (
	"fmt"
	"slices"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// judge adds the conditions that every run of the level has to hold, and those of the request's limits. Nothing is judged
// by what happens to be in the result: a step without a single request fails.
func (q Request) judge(run *report.Run, level Level) {
	v := &run.Verdict
	judgeLoad(run, level, q.Plan)
	for _, name := range level.steps {
		step := run.Step(name)
		v.Add(name+": good requests", "at least 1", progress.Grouped(step.OK), step.OK > 0)
	}
	for _, name := range counted(run, level) {
		step := run.Step(name)
		share := 100 * float64(step.Failed) / float64(max(step.Count(), 1))
		v.Add(name+": failed", fmt.Sprintf("at most %g %%", q.Limits.MaxErrors),
			fmt.Sprintf("%.3g %% (%s)", share, progress.Grouped(step.Failed)), share <= q.Limits.MaxErrors)
		if q.Limits.MaxP99 > 0 {
			all := step.Total.Merge(step.Failures)
			p99 := all.At(99)
			v.Add(name+": p99", "at most "+q.Limits.MaxP99.String(), p99.String(), all.Count() > 0 && p99 <= q.Limits.MaxP99)
		}
	}
	if q.Limits.MinRate > 0 {
		rate := run.PerSecond(run.All().OK)
		v.Add("good requests", fmt.Sprintf("at least %g/s", q.Limits.MinRate), fmt.Sprintf("%.0f/s", rate), rate >= q.Limits.MinRate)
	}
	if level.writes && q.NoReconcile {
		v.Add("bids compared", "not asked for (--no-reconcile)", "no", true)
	}
}

// counted are the steps of the level, and whatever else the users asked for.
func counted(run *report.Run, level Level) []string {
	names := slices.Clone(level.steps)
	for _, s := range run.Steps {
		if !s.Part && !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// judgeLoad adds the conditions of the load: its arrivals, its iterations and its users.
func judgeLoad(run *report.Run, level Level, p Plan) {
	if a := run.Arrivals; a != nil {
		run.Verdict.Add("arrivals dropped", "0", fmt.Sprintf("%s of %s", progress.Grouped(a.Dropped), progress.Grouped(a.Asked)), a.Dropped == 0)
	}
	if asked := int64(p.VUsers) * int64(p.Iterations); asked > 0 && p.Duration == 0 && level.steady == 1 {
		done := run.All().Count()
		run.Verdict.Add("iterations done", progress.Grouped(asked), progress.Grouped(done), done == asked)
	}
	if !p.open() {
		u := run.Users
		run.Verdict.Add("users that began", progress.Grouped(int64(p.VUsers)), progress.Grouped(int64(u.Started)), u.Started == p.VUsers)
	}
}

// judgeLedger holds the journals against what the engine counted. A journal that lacks entries would prove less than it
// seems to.
func judgeLedger(run *report.Run, l *reconcile.Ledger) {
	v, bid := &run.Verdict, run.Step(stepBid)
	entries := bid.Count() + run.Step(stepLate).Count()
	v.Add("journal: complete", "yes", map[bool]string{true: "yes", false: "no"}[l.Complete()], l.Complete())
	v.Add("journal: entries", progress.Grouped(entries), progress.Grouped(l.Entries()), l.Entries() == entries)
	v.Add("journal: acknowledged", progress.Grouped(bid.OK), progress.Grouped(l.Acknowledged()), l.Acknowledged() == bid.OK)
}

// stores are the names of the reconciliations that a run needs.
var stores = []string{"Postgres", "Redis"}

// judgeReconciliations fails a store that was not compared, or in which a bid is not what and where it should be.
func judgeReconciliations(run *report.Run) {
	for _, store := range stores {
		r := report.Reconciliation{Store: store, Problem: "it was not compared"}
		for _, have := range run.Reconciliations {
			if have.Store == store {
				r = have
			}
		}
		run.Verdict.Add("bids in "+store, "each acknowledged one once, as it was sent", r.Word(), r.Clean() && r.Acknowledged > 0)
	}
}
