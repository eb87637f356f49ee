package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// WriteBench writes the run as Go benchmark results, which benchstat compares: a line for each step, and one for each block
// of each path. ns/op is the mean latency of the good requests. A percentile of too few requests is left out.
func (r *Run) WriteBench(w io.Writer) error {
	var b strings.Builder
	b.WriteString("Unit req/s better=higher\nUnit failed-% better=lower\n")
	for _, s := range r.Steps {
		if r.OfPaths() {
			break // the blocks hold the same
		}
		rest := fmt.Sprintf(" %g req/s %g failed-%%", r.PerSecond(s.OK), 100*part(s.Failed, s.Count()))
		r.benchmark(&b, "/step="+word(s.Name), s.Count(), s.Total, rest)
	}
	for _, c := range r.Paths {
		for _, p := range c.Paths {
			for _, block := range p.Blocks {
				r.benchmark(&b, "/lookup="+word(c.Name)+"/path="+word(p.Path)+"/cache="+word(p.Cache), block.Count(), block, "")
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// benchmark writes the line of n requests, of which the good ones took h.
func (r *Run) benchmark(b *strings.Builder, name string, n int64, h Histogram, rest string) {
	if n == 0 {
		return
	}
	fmt.Fprintf(b, "BenchmarkLoad/level=%s%s-%d %d", word(r.Level), name, max(r.Cores, 1), n)
	good, s := h.Count(), h.Summary()
	if good > 0 {
		fmt.Fprintf(b, " %d ns/op", s.Mean)
	}
	for _, p := range []struct {
		q    float64
		name string
		at   time.Duration
	}{{50, "p50-ns", s.P50}, {90, "p90-ns", s.P90}, {99, "p99-ns", s.P99}, {99.9, "p99.9-ns", s.P999}} {
		if enough(good, p.q) {
			fmt.Fprintf(b, " %d %s", p.at, p.name)
		}
	}
	b.WriteString(rest + "\n")
}

// word is text as a part of a benchmark's name.
func word(text string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) || !unicode.IsPrint(c) || c == '/' {
			return '_'
		}
		return c
	}, text)
}
