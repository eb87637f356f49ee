package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

// WriteText writes the run for a terminal: steps, errors, reconciliation and paths. The verdict comes last,
// because the eye is at the end.
func (r *Run) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s · %s · seed %d\n%s\n", r.Name, elapsed(r.Elapsed), r.Seed, r.Purpose)
	r.textSteps(&b)
	r.textErrors(&b)
	r.textReconciliations(&b)
	for _, c := range r.Paths {
		c.text(&b)
	}
	if strings.Contains(b.String(), fewMark) {
		b.WriteString("\n  " + fewNote + "\n")
	}
	r.textCosts(&b)
	r.Verdict.text(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes rows in columns; the first is flush left, the others are flush right.
func table(b *strings.Builder, rows [][]string) {
	b.WriteByte('\n')
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	width := 0
	for _, row := range rows {
		width = max(width, len([]rune(row[0])))
	}
	for _, row := range rows {
		first := row[0] + strings.Repeat(" ", width-len([]rune(row[0])))
		fmt.Fprintf(tw, "%s\t%s\t\n", first, strings.Join(row[1:], "\t"))
	}
	if err := tw.Flush(); err != nil {
		panic("report: a strings.Builder refused text: " + err.Error())
	}
}

// shown are the steps, their sum if there are several, and then the parts of steps, which are not in the sum.
func (r *Run) shown() (rows []Step) {
	parts := slices.Clone(r.Steps)
	parts = slices.DeleteFunc(parts, func(s Step) bool { return !s.Part })
	rows = slices.DeleteFunc(slices.Clone(r.Steps), func(s Step) bool { return s.Part })
	if len(rows) > 1 {
		rows = append(rows, r.All())
	}
	return append(rows, parts...)
}

func (r *Run) textSteps(b *strings.Builder) {
	for _, t := range r.Latencies() {
		rows := [][]string{append([]string{t.Caption, "OK", "KO", "req/s"}, latencyHead...)}
		for _, s := range t.Rows {
			rows = append(rows, append([]string{s.Name, progress.Grouped(s.OK), progress.Grouped(s.Failed), s.Rate}, s.Latency...))
		}
		table(b, rows)
	}
}

// LatencyTable has a row for each step.
type LatencyTable struct {
	Caption string
	Rows    []LatencyRow
}

// LatencyRow is a step with its figures in words.
type LatencyRow struct {
	Step
	Class, Rate string
	Latency     []string
}

// Latencies are the tables of the steps: a second one in the open model, and one of failures if there were any, because a
// time-out is a wait, too.
func (r *Run) Latencies() (tables []LatencyTable) {
	sum := r.All().Name
	add := func(caption string, of func(Step) Histogram) {
		t := LatencyTable{Caption: caption}
		for _, s := range r.shown() {
			row := LatencyRow{Step: s, Rate: rate(r.PerSecond(s.OK)), Latency: of(s).cells()}
			switch {
			case s.Part:
				row.Class = "part"
			case s.Name == sum:
				row.Class = "sum"
			}
			if of(s).Count() > 0 || len(tables) == 0 {
				t.Rows = append(t.Rows, row)
			}
		}
		if len(t.Rows) > 0 {
			tables = append(tables, t)
		}
	}
	add("Latency from the intended start to the answer", func(s Step) Histogram { return s.Total })
	if r.OpenModel() {
		add("Service time, from sending to the answer", func(s Step) Histogram { return s.Service })
	}
	add("Latency of the failed requests, from the intended start", func(s Step) Histogram { return s.Failures })
	return tables
}

func (r *Run) textErrors(b *strings.Builder) {
	if len(r.Errors) == 0 {
		return
	}
	rows := [][]string{{"errors", "count", "first at"}}
	for _, e := range r.Errors {
		rows = append(rows, []string{e.Step + ": " + e.Kind, progress.Grouped(e.Count), clock(e.First)})
	}
	table(b, rows)
}

func (r *Run) textReconciliations(b *strings.Builder) {
	if len(r.Reconciliations) == 0 {
		return
	}
	rows := [][]string{{"reconciliation", "acknowledged", "stored", "lost", "doubled", "unexpected", "altered", "misplaced", "no answer", "of those stored", "retries"}}
	for _, c := range r.Reconciliations {
		row := []string{c.Store}
		for _, n := range []int64{c.Acknowledged, c.Stored, c.Lost, c.Doubled, c.Unexpected, c.Altered, c.Misplaced, c.Unknown, c.UnknownCommitted, c.Retries} {
			row = append(row, progress.Grouped(n))
		}
		rows = append(rows, row)
	}
	table(b, rows)
	for _, c := range r.Reconciliations {
		for _, p := range c.Problems() {
			fmt.Fprintf(b, "  %s\n", p)
		}
	}
}

// Problems are the reasons why a reconciliation is not clean, with samples.
func (r Reconciliation) Problems() (out []string) {
	if r.Problem != "" {
		out = append(out, r.Store+": not completed: "+r.Problem)
	}
	if r.Lost > 0 {
		out = append(out, fmt.Sprintf("%s: %s lost: %s", r.Store, progress.Grouped(r.Lost), some(r.LostKeys, r.Lost)))
	}
	if r.Doubled > 0 {
		out = append(out, fmt.Sprintf("%s: %s doubled: %s", r.Store, progress.Grouped(r.Doubled), some(r.DoubledKeys, r.Doubled)))
	}
	if r.Unexpected > 0 {
		out = append(out, fmt.Sprintf("%s: %s that should not be there: refused, without a key, or in Redis alone", r.Store, progress.Grouped(r.Unexpected)))
	}
	for _, d := range r.Differences {
		out = append(out, r.Store+": "+d)
	}
	return out
}

// some lists samples of n keys.
func some(keys []string, n int64) string {
	list := strings.Join(keys, ", ")
	if int64(len(keys)) < n {
		return list + " ..."
	}
	return list
}

func (c PathComparison) text(b *strings.Builder) {
	rows := [][]string{append([]string{c.Name, "OK", "KO", "p50 ratio", "lag"}, latencyHead...)}
	for _, p := range c.Paths {
		rows = append(rows, append([]string{p.label(), progress.Grouped(p.OK), progress.Grouped(p.Failed), c.ratioText(p), latency(p.Lag)}, p.Latency.cells()...))
	}
	table(b, rows)
	fmt.Fprintf(b, "  %s\n", c.Bodies())
}

func (p PathResult) label() string {
	if p.Cache == "" {
		return p.Path
	}
	return p.Path + ", " + p.Cache
}

// Bodies says whether the paths gave the same answers.
func (c PathComparison) Bodies() string {
	switch {
	case c.Compared == 0:
		return "bodies were not compared"
	case c.Different == 0:
		return fmt.Sprintf("bodies identical on all paths for all %s keys", progress.Grouped(c.Compared))
	}
	return fmt.Sprintf("bodies DIFFER for %s of %s keys, first: %s", progress.Grouped(c.Different), progress.Grouped(c.Compared), c.Sample)
}

func (r *Run) textCosts(b *strings.Builder) {
	if len(r.CPU) > 0 {
		rows := [][]string{{"CPU", "time", "of the machine"}}
		for _, c := range r.CPU {
			rows = append(rows, []string{c.Name, latency(c.CPU), percent(r.Share(c.CPU))})
		}
		table(b, rows)
	}
	if r.Level == "paths" {
		return // its reads come at a rate of its own, so how many there are in a second says nothing
	}
	n := r.NGrinder()
	fmt.Fprintf(b, "\nin nGrinder's words: TPS %s, peak TPS %s, mean test time %s, errors %s\n",
		rate(n.TPS), rate(n.PeakTPS), latency(n.MeanTestTime), progress.Grouped(n.Errors))
	fmt.Fprintf(b, "the generator used %s of processor time per request\n", latency(r.PerRequest()))
	if r.Generator.Warning != "" {
		fmt.Fprintf(b, "WARNING: %s\n", r.Generator.Warning)
	}
}

func (v Verdict) text(b *strings.Builder) {
	b.WriteByte('\n')
	for _, c := range v.Conditions {
		mark := "held  "
		if !c.OK {
			mark = "FAILED"
		}
		fmt.Fprintf(b, "%s  %s: %s (%s)\n", mark, c.Name, c.Got, c.Limit)
	}
	for _, s := range append(v.Invalid[:len(v.Invalid):len(v.Invalid)], v.Failed...) {
		fmt.Fprintf(b, "        %s\n", s)
	}
	fmt.Fprintf(b, "verdict: %s\n", v.Word())
}

// Word is the verdict in one word: "passed", "failed" or "invalid".
func (v Verdict) Word() string {
	switch {
	case !v.Valid():
		return "invalid"
	case !v.Passed():
		return "failed"
	}
	return "passed"
}
