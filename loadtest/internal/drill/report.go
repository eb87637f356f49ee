package drill

import (
	"fmt"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Report is the outcome in the form of all load runs, with a reconciliation and the bounds of each drill.
func (s *Set) Report() *report.Run {
	run := &report.Run{Version: report.Version, Level: "drill", Name: fmt.Sprintf("%d drills", len(s.Results)),
		Purpose: "Causes failures for real, under load, and counts what was lost.", Started: s.Started, Elapsed: s.Elapsed,
		Steps: []report.Step{s.meters.bids.result(), s.meters.reads.result()}}
	for _, r := range s.Results {
		if r.Skipped != "" {
			run.Config = append(run.Config, report.Field{Name: r.Name, Value: "skipped: " + r.Skipped})
			continue
		}
		run.Config = append(run.Config, report.Field{Name: r.Name, Value: r.words()})
		run.Reconciliations = append(run.Reconciliations, r.reconciliation())
		run.Verdict.Conditions = append(run.Verdict.Conditions,
			threshold("no writes: "+r.Name, r.WritesBound, r.NoWrites), threshold("no reads: "+r.Name, r.ReadsBound, r.NoReads))
	}
	run.Verdict.Failed = s.Faults()
	return run
}

func threshold(name string, bound, got time.Duration) report.Condition {
	return report.Condition{Name: name, Limit: fmt.Sprintf("at most %v", bound), Got: seconds(got), OK: got <= bound}
}

// words are what of a drill has no place elsewhere in the report.
func (r *Result) words() string {
	return fmt.Sprintf("from %s on, took %s; served by %s; %d wrong reads; feeds lost %d, doubled %d, had %d resets; %d nodes led at once; %d requests failed and %d were left out; whole after %s",
		r.Started.UTC().Format(time.TimeOnly), seconds(r.Took), served(r.Paths)+r.told(), r.Wrong, r.FeedLost, r.FeedDoubled, r.Resets, r.Leaders, r.Failures, r.LeftOut, seconds(r.Whole))
}

// reconciliation has the name of the drill in the place of the store's.
func (r *Result) reconciliation() report.Reconciliation {
	c := report.Reconciliation{Store: r.Name, Acknowledged: r.Acknowledged, Stored: r.Acknowledged - r.Lost, Lost: r.Lost, Doubled: r.Doubled,
		Unknown: r.Open, UnknownCommitted: r.Late, Unexpected: r.Unwanted}
	for _, e := range r.Examples {
		switch {
		case strings.HasPrefix(e, "lost"):
			c.LostKeys = append(c.LostKeys, e)
		case strings.HasPrefix(e, "doubled"):
			c.DoubledKeys = append(c.DoubledKeys, e)
		}
	}
	return c
}

// Summary is the last lines for a terminal.
func (s *Set) Summary() string {
	var acked, lost, doubled, late, wrong int64
	for _, r := range s.Results {
		acked, lost, doubled, late, wrong = acked+r.Acknowledged, lost+r.Lost, doubled+r.Doubled, late+r.Late, wrong+r.Wrong
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d drills in %.0f s: %d bids acknowledged, %d lost, %d doubled, %d late, %d wrong reads\n",
		len(s.Results), s.Elapsed.Seconds(), acked, lost, doubled, late, wrong)
	b.WriteString("late: an answer left it open whether the bid was placed, and it was; no write, no read: the longest time without an accepted bid and without a plain read\n")
	for _, line := range s.Skipped() {
		fmt.Fprintf(&b, "skipped  %s\n", line)
	}
	for _, line := range s.Faults() {
		fmt.Fprintf(&b, "FAILED   %s\n", line)
	}
	return b.String()
}
