package report

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"golang.org/x/perf/benchmath"
)

// ErrIncomparable says that runs have nothing to be compared by.
var ErrIncomparable = errors.New("the runs can't be compared")

const (
	// worthwhile is the smallest relative change that counts: a smaller one is no reason to act.
	worthwhile = 0.05
	// worthwhileErrors is the smallest change of the failed share that counts, if requests failed before.
	worthwhileErrors = 0.001
)

// Comparison is what changed between two groups of runs.
//
// A run gives one value of each measure. So what differs from run to run (a checkpoint, caches, neighbours) is part of
// the noise, and requests or seconds of one run don't pass for independent ones. The blocks of `paths` are such parts of
// a run, too: they share its caches, plans and connections. A path therefore has for each run its latencies and the
// median over the blocks of its ratio to the base path. The two sides are then compared by ranks. Whether chance alone
// changes any of the measures is judged for all of them together.
type Comparison struct {
	Differs []string // what else differs than the program
	Steps   []StepComparison
	Reasons []string // why the runs after are worse, beside the measures
	TooFew  string   // why the measures are not judged
	sides   [2]string
}

// StepComparison is a step that both sides have. Unjudged are the measures for which a run has too few requests.
type StepComparison struct {
	Name     string
	Changes  []Change
	Unjudged []string
}

// Change is one measure of a step. Delta is that of the medians, relative to the runs before, but for the failed share
// the plain difference. P is the probability that chance changes any measure so clearly.
type Change struct {
	Name          string
	Before, After benchmath.Summary
	Delta, P      float64
	Beyond        bool // P is small enough, and Delta is large enough to matter
	Worse         bool // in which direction, if Beyond
}

// Compare judges the runs after by the runs before. The error is ErrIncomparable with the reason.
func Compare(before, after []*Run) (*Comparison, error) {
	if err := checkSides(before, after); err != nil {
		return nil, err
	}
	c := &Comparison{sides: [2]string{sideName(before), sideName(after)}}
	if a, b := only(common(before), common(after)), only(common(after), common(before)); a != b {
		c.Differs = append(c.Differs, a+", then "+b)
	}
	c.verdicts(before, after)
	c.steps(subjectsOf(before), subjectsOf(after))
	changes := c.judge()
	if clearest(len(before), len(after))*float64(changes) > mistake {
		c.TooFew = fmt.Sprintf("%d before and %d after are too few runs to tell a change of one of %d measures from chance: %d a side are needed",
			len(before), len(after), changes, needed(changes))
	}
	switch {
	case len(c.Reasons) > 0:
		return c, nil
	case changes == 0:
		return nil, fmt.Errorf("%w: no step has enough requests in every run", ErrIncomparable)
	case c.TooFew != "":
		return nil, fmt.Errorf("%w: %s", ErrIncomparable, c.TooFew)
	}
	return c, nil
}

// steps compares the steps in the order of the first run.
func (c *Comparison) steps(before, after [][]subject) {
	for _, s := range before[0] {
		a, b := of(before, s.name), of(after, s.name)
		switch {
		case len(a) < len(before): // chance decides whether a run has it
			c.Steps = append(c.Steps, StepComparison{Name: s.name, Unjudged: []string{"all measures"}})
		case len(b) < len(after):
			c.Reasons = append(c.Reasons, fmt.Sprintf("step %q is missing in %d of %d runs after", s.name, len(after)-len(b), len(after)))
		default:
			c.step(s.name, a, b)
		}
	}
	for _, s := range after[0] {
		if len(of(before, s.name)) == 0 {
			c.Differs = append(c.Differs, fmt.Sprintf("step %q is new", s.name))
		}
	}
}

func (c *Comparison) step(name string, before, after []subject) {
	s := StepComparison{Name: name}
	for _, measure := range measures {
		a, b := column(before, measure), column(after, measure)
		spotless := measure == measureFailed && slices.Max(a) == 0
		_, has := before[0].values[measure]
		switch {
		case !has:
		case slices.ContainsFunc(slices.Concat(a, b), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }):
			s.Unjudged = append(s.Unjudged, measure)
		case spotless && slices.Max(b) > 0: // one is one too many
			c.Reasons = append(c.Reasons, fmt.Sprintf("%s: up to %s of the requests of a run failed after, and none before", name, percent(slices.Max(b))))
		case !spotless:
			s.Changes = append(s.Changes, newChange(measure, a, b))
		}
	}
	c.Steps = append(c.Steps, s)
}

func newChange(measure string, before, after []float64) Change {
	d := Change{Name: measure, Before: medianOf(before), After: medianOf(after), P: compareRanks(before, after)}
	d.Delta = d.After.Center - d.Before.Center
	if measure != measureFailed && d.Delta != 0 {
		d.Delta /= d.Before.Center
	}
	return d
}

// judge decides on every change once all are known, because what one has to show depends on their number, which it
// returns.
func (c *Comparison) judge() int {
	var changes []*Change
	var p []float64
	for i := range c.Steps {
		for j := range c.Steps[i].Changes {
			d := &c.Steps[i].Changes[j]
			changes, p = append(changes, d), append(p, d.P)
		}
	}
	for i, adjusted := range holm(p) {
		d, enough := changes[i], worthwhile
		if d.Name == measureFailed {
			enough = worthwhileErrors
		}
		d.P = adjusted
		d.Beyond = adjusted <= mistake && math.Abs(d.Delta) >= enough
		d.Worse = d.Beyond && (d.Delta > 0) != (d.Name == measureRate)
	}
	return len(changes)
}

// Worse reports whether anything got worse beyond noise.
func (c *Comparison) Worse() bool {
	worse := func(d Change) bool { return d.Worse }
	return len(c.Reasons) > 0 || slices.ContainsFunc(c.Steps, func(s StepComparison) bool { return slices.ContainsFunc(s.Changes, worse) })
}

// verdicts compares without regard to noise, because one lost bid is one too many.
func (c *Comparison) verdicts(before, after []*Run) {
	failed := func(r *Run) bool { return !r.Verdict.Passed() }
	if i := slices.IndexFunc(after, failed); i >= 0 && !slices.ContainsFunc(before, failed) {
		c.Reasons = append(c.Reasons, fmt.Sprintf("all runs before passed, the one of %s after failed", when(after[i])))
	}
	dirty := make(map[string]bool)
	for _, r := range before {
		for _, s := range r.Reconciliations {
			dirty[s.Store] = dirty[s.Store] || !s.Clean()
		}
	}
	for _, r := range after {
		for _, s := range r.Reconciliations {
			if !s.Clean() && !dirty[s.Store] {
				c.Reasons = append(c.Reasons, s.Problems()...)
			}
		}
	}
}

// WriteText writes the comparison as a table per step.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "before: %s\nafter:  %s\n", c.sides[0], c.sides[1])
	for _, s := range c.Differs {
		fmt.Fprintf(&b, "differs: %s\n", s)
	}
	for _, s := range c.Steps {
		s.text(&b)
	}
	b.WriteByte('\n')
	if c.TooFew != "" {
		fmt.Fprintf(&b, "measures are not judged: %s\n", c.TooFew)
	}
	for _, s := range c.Reasons {
		fmt.Fprintf(&b, "worse: %s\n", s)
	}
	word := "nothing is worse beyond noise"
	if c.Worse() {
		word = "WORSE"
	}
	fmt.Fprintf(&b, "%s\nMedians of the runs, with their intervals of %g %%. p is the probability that chance changes any of the measures so\n"+
		"clearly. A change counts if p is at most %g and the change is at least %g %%, for the failed share %g points.\n",
		word, 100*confidence, mistake, 100*worthwhile, 100*worthwhileErrors)
	_, err := io.WriteString(w, b.String())
	return err
}

func (s StepComparison) text(b *strings.Builder) {
	rows := [][]string{{s.Name, "before", "after", "change", "p", ""}}
	for _, d := range s.Changes {
		rows = append(rows, d.row())
	}
	table(b, rows)
	if len(s.Unjudged) > 0 {
		fmt.Fprintf(b, "  not judged, because a run has too few requests: %s\n", strings.Join(s.Unjudged, ", "))
	}
}

func (d Change) row() []string {
	show, delta, word := latencyOf, fmt.Sprintf("%+.1f %%", 100*d.Delta), ""
	switch d.Name {
	case measureRate:
		show = rate
	case measureRatio:
		show = significant
	case measureFailed:
		show, delta = percent, fmt.Sprintf("%+.2f points", 100*d.Delta)
	}
	switch {
	case d.Worse:
		word = "WORSE"
	case d.Beyond:
		word = "better"
	}
	return []string{d.Name, median(d.Before, show), median(d.After, show), delta, significant(d.P), word}
}

// median shows, if there are enough runs, how far the true median may be from that of the runs.
func median(s benchmath.Summary, show func(float64) string) string {
	if share, found := strings.CutSuffix(s.PctRangeString(), "%"); found {
		return show(s.Center) + " ± " + share + " %"
	}
	return show(s.Center)
}

func latencyOf(us float64) string { return latency(micros(int64(us))) }
