package report

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
)

// ErrIncomparable says that two runs have nothing to be compared by.
var ErrIncomparable = errors.New("the runs can't be compared")

// Comparison is what changed between two runs.
type Comparison struct {
	Warnings []string // what else differs than the program
	Steps    []StepComparison
	Reasons  []string // why the second is worse, beside the steps
	names    [2]string
}

// StepComparison is a step that both runs have. Unjudged says why its noise is not known.
type StepComparison struct {
	Name     string
	Changes  []Change
	Unjudged string
}

// Change is one measure of a step. Delta is relative to the first run, but for the failed share the plain
// difference. The true value lies between Low and High. With a probability of 99 % this holds for all changes
// together, as far as the seconds within the runs tell.
type Change struct {
	Name             string
	Before, After    float64
	Delta, Low, High float64
	Beyond           bool // the interval excludes 0, and Delta is large enough to matter
	Worse            bool // in which direction, if Beyond

	shift, deviation float64 // in the measure's own terms: logarithms, or shares
}

// Compare judges b by a. The error is ErrIncomparable with the reason.
func Compare(a, b *Run) (*Comparison, error) {
	if a.Level != b.Level {
		return nil, fmt.Errorf("%w: one is level %s, the other level %s", ErrIncomparable, a.Level, b.Level)
	}
	for _, r := range []*Run{a, b} {
		if !r.Verdict.Valid() {
			return nil, fmt.Errorf("%w: the run of %s is invalid: %s", ErrIncomparable, when(r), r.Verdict.Invalid[0])
		}
	}
	c := &Comparison{names: [2]string{when(a), when(b)}}
	c.warn(a, b)
	c.reconciliations(a, b)
	judged := false
	for _, before := range a.Steps {
		for _, after := range b.Steps {
			if before.Name == after.Name {
				s := compareStep(a, b, before, after)
				judged = judged || s.Unjudged == ""
				c.Steps = append(c.Steps, s)
			}
		}
	}
	c.judge()
	switch {
	case len(c.Steps) == 0:
		return nil, fmt.Errorf("%w: they have no step in common", ErrIncomparable)
	case !judged && len(c.Reasons) == 0:
		return nil, fmt.Errorf("%w: %s: %s", ErrIncomparable, c.Steps[0].Name, c.Steps[0].Unjudged)
	}
	return c, nil
}

func when(r *Run) string {
	name := r.Started.UTC().Format("2006-01-02 15:04:05")
	if r.Commit != "" {
		name += " (commit " + r.Commit[:min(len(r.Commit), 12)] + ")"
	}
	return name
}

// warn lists what was not the same. A different commit is what comparisons are for.
func (c *Comparison) warn(a, b *Run) {
	fields := func(r *Run) []Field {
		return append(append([]Field{{"seed", fmt.Sprint(r.Seed)}, {"agents", fmt.Sprint(len(r.Agents))}}, r.Config...), r.Environment...)
	}
	after := make(map[string]string)
	for _, f := range fields(b) {
		after[f.Name] = f.Value
	}
	for _, f := range fields(a) {
		if v, ok := after[f.Name]; !ok || v != f.Value {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s: %s, then %s", f.Name, orNone(f.Value), orNone(v)))
		}
		delete(after, f.Name)
	}
	for _, f := range fields(b) {
		if v, ok := after[f.Name]; ok {
			c.Warnings = append(c.Warnings, fmt.Sprintf("%s: %s, then %s", f.Name, none, orNone(v)))
		}
	}
	have := func(r *Run, name string) bool {
		for _, s := range r.Steps {
			if s.Name == name {
				return true
			}
		}
		return false
	}
	for _, s := range a.Steps {
		if !have(b, s.Name) {
			c.Reasons = append(c.Reasons, fmt.Sprintf("step %q is missing in the second run", s.Name))
		}
	}
	for _, s := range b.Steps {
		if !have(a, s.Name) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("step %q is new", s.Name))
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

// reconciliations compares without regard to noise, because one lost bid is one too many.
func (c *Comparison) reconciliations(a, b *Run) {
	clean := make(map[string]bool)
	for _, r := range a.Reconciliations {
		clean[r.Store] = r.Clean()
	}
	for _, r := range b.Reconciliations {
		if !r.Clean() && (clean[r.Store] || len(a.Reconciliations) == 0) {
			c.Reasons = append(c.Reasons, r.Problems()...)
		}
	}
	if a.Verdict.Passed() && !b.Verdict.Passed() {
		c.Reasons = append(c.Reasons, "the first run passed, the second failed")
	}
}

// Seeds of the resampling: fixed, so that the same two files give the same verdict.
const seedBefore, seedAfter = 1, 2

func compareStep(a, b *Run, before, after Step) StepComparison {
	c := StepComparison{Name: before.Name}
	sa, sb := a.steady(before), b.steady(after)
	if n := min(len(sa), len(sb)); n < minSeconds {
		c.Unjudged = fmt.Sprintf("%d whole seconds under full load are too few to tell noise from change, %d are needed", n, minSeconds)
		return c
	}
	ra := bootstrap(sa, rand.New(rand.NewPCG(seedBefore, 0)))
	rb := bootstrap(sb, rand.New(rand.NewPCG(seedAfter, 0)))
	ma, mb := newSecondsTable(sa).measure(upTo(len(sa))), newSecondsTable(sb).measure(upTo(len(sb)))
	for i, name := range measureNames {
		if i > measureFailed && (ma[i] == 0 || mb[i] == 0) {
			continue // one of them has no good request
		}
		scale := logarithm
		if i == measureFailed {
			scale = plain
		}
		c.Changes = append(c.Changes, Change{Name: name, Before: ma[i], After: mb[i],
			shift: scale(mb[i]) - scale(ma[i]), deviation: math.Hypot(spreadOf(ra, i, scale), spreadOf(rb, i, scale))})
	}
	return c
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// A ratio is compared by its logarithm, which is as wide upwards as downwards. Zero counts as a thousandth of a
// request per second, or of a microsecond.
func logarithm(v float64) float64 { return math.Log(max(v, 0.001)) }

func plain(v float64) float64 { return v }

// judge decides on every change once the number of changes is known, because the limits depend on it.
func (c *Comparison) judge() {
	n := 0
	for _, s := range c.Steps {
		n += len(s.Changes)
	}
	for _, s := range c.Steps {
		for i := range s.Changes {
			s.Changes[i].judge(width(n))
		}
	}
}

func (d *Change) judge(width float64) {
	back, enough := math.Expm1, worthwhile
	if d.Name == measureNames[measureFailed] {
		back, enough = plain, worthwhileErrors
	}
	d.Delta, d.Low, d.High = back(d.shift), back(d.shift-width*d.deviation), back(d.shift+width*d.deviation)
	d.Beyond = (d.Low > 0 || d.High < 0) && math.Abs(d.Delta) >= enough
	d.Worse = d.Beyond && (d.Delta > 0) != (d.Name == measureNames[measureRate])
}

// Worse reports whether anything got worse beyond noise.
func (c *Comparison) Worse() bool {
	if len(c.Reasons) > 0 {
		return true
	}
	for _, s := range c.Steps {
		for _, d := range s.Changes {
			if d.Worse {
				return true
			}
		}
	}
	return false
}

// WriteText writes the comparison as a table per step.
func (c *Comparison) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "before: %s\nafter:  %s\n", c.names[0], c.names[1])
	for _, s := range c.Warnings {
		fmt.Fprintf(&b, "differs: %s\n", s)
	}
	for _, s := range c.Steps {
		s.text(&b)
	}
	for _, s := range c.Reasons {
		fmt.Fprintf(&b, "worse: %s\n", s)
	}
	word := "nothing is worse beyond noise"
	if c.Worse() {
		word = "WORSE"
	}
	fmt.Fprintf(&b, "\n%s\nA change counts if its limits exclude 0 and it is at least %g %%, for the failed share %g points. All limits\nhold together with %g %%, judged by resampled blocks of seconds of each run.\n",
		word, worthwhile*100, worthwhileErrors*100, 100*(1-mistake))
	_, err := io.WriteString(w, b.String())
	return err
}

func (s StepComparison) text(b *strings.Builder) {
	if s.Unjudged != "" {
		fmt.Fprintf(b, "\n%s: not judged: %s\n", s.Name, s.Unjudged)
		return
	}
	rows := [][]string{{s.Name, "before", "after", "change", "limits", ""}}
	for _, d := range s.Changes {
		rows = append(rows, d.row())
	}
	table(b, rows)
}

func (d Change) row() []string {
	show, delta := latencyOf, signedPercent
	switch d.Name {
	case measureNames[measureRate]:
		show = rate
	case measureNames[measureFailed]:
		show, delta = percent, signedPoints
	}
	word := ""
	switch {
	case d.Worse:
		word = "WORSE"
	case d.Beyond:
		word = "better"
	}
	return []string{d.Name, show(d.Before), show(d.After), delta(d.Delta), delta(d.Low) + " to " + delta(d.High), word}
}

func latencyOf(us float64) string { return latency(micros(int64(us))) }

func signedPercent(v float64) string { return fmt.Sprintf("%+.1f %%", v*100) }

func signedPoints(v float64) string { return fmt.Sprintf("%+.2f points", v*100) }
