package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// readPlot is a chart as report.js reads it.
type readPlot struct {
	Over  string
	Log   bool
	X     []float64
	Lines []struct {
		Name   string
		Colour int
		Y      []*float64
	}
}

// plots are the data of all figures.
func plots(t *testing.T, doc *html.Node) (out []readPlot) {
	t.Helper()
	for _, figure := range all(doc, "figure") {
		var p readPlot
		if err := json.Unmarshal([]byte(content(all(figure, "script")[0])), &p); err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// Every plot has lines that can be drawn, in all the runs that could break a scale.
func TestPlotsCanBeDrawn(t *testing.T) {
	noLag := madeUp(20, time.Millisecond, 0, 1)
	for i := range noLag.Samples {
		noLag.Samples[i].LagMS = nil
	}
	one := madeUp(1, time.Millisecond, 0, 1)
	one.Elapsed = 400 * time.Millisecond
	gaps := madeUp(30, time.Millisecond, 0, 1)
	for i := range gaps.Steps {
		gaps.Steps[i].Seconds = append(gaps.Steps[i].Seconds[:3:3], gaps.Steps[i].Seconds[20:]...)
	}
	coarse := madeUp(20, time.Millisecond, 0, 1)
	coarse.Steps[1].Total = coarse.Steps[1].Total.coarsen(1)
	for _, c := range []struct {
		name  string
		run   *Run
		plots int
	}{
		{"ordinary", madeUp(20, time.Millisecond, 1, 1), 9},
		{"long", madeUp(1000, time.Millisecond, 1, 1), 9},
		{"slow", madeUp(20, 100*time.Second, 0, 1), 8},
		{"one second", one, 8},
		{"gaps", gaps, 8},
		{"coarse", coarse, 8},
		{"no lag", noLag, 7},
		{"all failed", allFailed(), 4},
		{"empty", &Run{Version: Version}, 0},
	} {
		drawn := plots(t, document(t, c.run))
		if len(drawn) != c.plots {
			t.Errorf("%s: %d plots, want %d", c.name, len(drawn), c.plots)
		}
		for i, p := range drawn {
			p.check(t, fmt.Sprintf("%s, plot %d", c.name, i))
		}
	}
}

func (p readPlot) check(t *testing.T, name string) {
	t.Helper()
	if n := len(p.X); n == 0 || n > 2*maxPoints || len(p.Lines) == 0 {
		t.Errorf("%s: %d points, %d lines", name, n, len(p.Lines))
	}
	for i := 1; i < len(p.X); i++ {
		if p.X[i] <= p.X[i-1] {
			t.Errorf("%s: point %d at %g comes after %g", name, i, p.X[i], p.X[i-1])
		}
	}
	for _, l := range p.Lines {
		points := 0
		for _, y := range l.Y {
			if y != nil {
				points++
			}
			if y != nil && (*y < 0 || p.Log && *y == 0) {
				t.Errorf("%s: %q has the value %g", name, l.Name, *y)
			}
		}
		if len(l.Y) != len(p.X) || points == 0 || l.Colour < 0 || l.Colour > soft {
			t.Errorf("%s: %q has %d of %d values, colour %d", name, l.Name, points, len(p.X), l.Colour)
		}
	}
}

// The histogram holds every request once, and the percentile curve agrees with the tables.
func TestDistributionsHoldAllRequests(t *testing.T) {
	run := madeUp(100, 20*time.Millisecond, 0, 1)
	for _, l := range run.histogram(run.All()).Lines {
		sum := 0.0
		for _, y := range l.Y {
			sum += float64(y)
		}
		if math.Abs(sum-100) > 1e-6 {
			t.Errorf("%s: %g %% of the requests", l.Name, sum)
		}
	}
	curve, s := percentileCurve(run.counted()), run.Steps[0].Total.Summary()
	for i, want := range map[int]time.Duration{perNine: s.P90, 2 * perNine: s.P99, 3 * perNine: s.P999} {
		if got := curve.Lines[0].Y[i]; got != milliseconds(want) {
			t.Errorf("at %g nines %g ms, want %v", curve.X[i], got, want)
		}
	}
}

func TestPathsShowTheirRatios(t *testing.T) {
	fast, slow := madeUp(5, time.Millisecond, 0, 1).Steps[0], madeUp(5, 100*time.Millisecond, 0, 1).Steps[0]
	c := PathComparison{Name: "bids", Base: "redis", Compared: 500, Paths: []PathResult{
		{Path: "redis", Cache: "warm", OK: fast.OK, Latency: fast.Total},
		{Path: "scan", Cache: "warm", OK: slow.OK, Latency: slow.Total, Explain: "Seq Scan on bids"},
		{Path: "standby", Cache: "cold", Failed: 3},
	}}
	for i := range 3 {
		c.Paths[0].Blocks = append(c.Paths[0].Blocks, fast.Seconds[i].Total)
		c.Paths[1].Blocks = append(c.Paths[1].Blocks, Histogram{Digits: 1, Values: []int64{int64(i) + 1}, Counts: []int64{1}})
	}
	run := &Run{Version: Version, Level: "paths", Steps: []Step{fast}, Paths: []PathComparison{c}}
	doc := document(t, run)
	got := section(t, doc, "Paths: bids")
	for _, want := range []string{"bodies identical on all paths for all 500 keys", "redis, warm × 1.00", "scan, warm " + c.ratioText(c.Paths[1]),
		"Median by block",
		"standby, cold – 0 3", "EXPLAIN (ANALYZE, BUFFERS) of scan, warm Seq Scan on bids"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %q", want, got)
		}
	}
	p := plots(t, doc)
	if len(p) != 2 || len(p[0].Lines) != 2 || len(p[1].Lines) != 2 || p[0].Lines[1].Name != "~scan, warm" {
		t.Errorf("plots %+v", p)
	}
	if page := text(doc); strings.Contains(page, "Peak TPS") || strings.Contains(page, "requests per second") {
		t.Error("a comparison of paths has figures of steps")
	}
}

func allFailed() *Run {
	run := madeUp(20, time.Millisecond, 0, 1)
	for i := range run.Steps {
		s := &run.Steps[i]
		s.Failed, s.OK, s.Total, s.Service = s.OK, 0, Histogram{}, Histogram{}
		for j := range s.Seconds {
			s.Seconds[j] = Second{At: j, Failed: s.Seconds[j].OK}
		}
	}
	return run
}
