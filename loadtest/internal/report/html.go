package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

//go:embed report.html
var pageText string

//go:embed report.css
var styleText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"latency": latency, "rate": rate, "grouped": progress.Grouped, "percent": percent, "clock": clock, "elapsed": elapsed,
	"some": some,
}).Parse(pageText))

// WriteHTML writes the run as one file without scripts, links or anything else to load.
func (r *Run) WriteHTML(w io.Writer) error {
	if err := page.Execute(w, view{Run: r, Style: template.CSS(styleText)}); err != nil { //nolint:gosec // our own file
		return fmt.Errorf("write the result as HTML: %w", err)
	}
	return nil
}

// view is what the template sees. Its methods are the parts of the page that need work.
type view struct {
	*Run
	Style template.CSS
}

// headline is one of the figures at the top.
type headline struct{ Value, Name string }

// Headlines are what most readers came for.
func (v view) Headlines() []headline {
	all := v.All()
	cells := all.Total.cells()
	return []headline{
		{rate(v.PerSecond(all.OK)), "requests per second"},
		{cells[2], "median latency"},
		{cells[5], "99th percentile"},
		{progress.Grouped(all.OK), "good requests"},
		{progress.Grouped(all.Failed), "failed (" + percent(part(all.Failed, all.Count())) + ")"},
		{elapsed(v.Elapsed), "duration"},
	}
}

func part(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// stepTable is a table of latencies.
type stepTable struct {
	Caption string
	Rows    []stepRow
}

type stepRow struct {
	Step
	Rate    float64
	Latency []string
	Sum     bool
}

// LatencyHead names the columns of stepRow.Latency.
func (v view) LatencyHead() []string { return latencyHead }

// StepTables are one table, or two in the open model.
func (v view) StepTables() []stepTable {
	rows := func(of func(Step) Histogram) (out []stepRow) {
		for i, s := range v.shown() {
			out = append(out, stepRow{s, v.PerSecond(s.OK), of(s).cells(), i == len(v.Steps)})
		}
		return out
	}
	if !v.OpenModel() {
		return []stepTable{{"Latency from sending to the answer", rows(func(s Step) Histogram { return s.Service })}}
	}
	return []stepTable{
		{"Latency from the intended start: a late start counts", rows(func(s Step) Histogram { return s.Total })},
		{"Service time, from sending to the answer", rows(func(s Step) Histogram { return s.Service })},
	}
}

// Plots are the plots over time and the distribution.
func (v view) Plots() []plot {
	plots := v.overTime()
	if c := v.percentileCurve(); !c.Empty {
		plots = append(plots, c)
	}
	return plots
}

// StepPlots are the latencies over time of each step, if there are several.
func (v view) StepPlots() (plots []plot) {
	if len(v.Steps) < 2 {
		return nil
	}
	for _, s := range v.Steps {
		if p := v.latencies(s.Name, s.Seconds); !p.Empty {
			plots = append(plots, p)
		}
	}
	return plots
}

// barWidth is the width of a bar in SVG units for the share 1.
const barWidth = 240.0

type cpuBar struct {
	Name, Time, Share string
	Width             float64
}

// CPUBars are the processes, each as a part of the whole machine.
func (v view) CPUBars() (bars []cpuBar) {
	for _, c := range v.CPU {
		share := v.Share(c.CPU)
		bars = append(bars, cpuBar{c.Name, latency(c.CPU), percent(share), round(min(max(share, 0), 1) * barWidth)})
	}
	return bars
}

// ErrorShare is the part of its step's requests that failed in this way.
func (v view) ErrorShare(e ErrorKind) string {
	for _, s := range v.Steps {
		if s.Name == e.Step {
			return percent(part(e.Count, s.Count()))
		}
	}
	return none
}

type pathView struct {
	PathComparison
	Rows  []pathRow
	Ticks []axisTick
}

type pathRow struct {
	PathResult
	Label, Ratio string
	Latency      []string
	P50, P99     float64 // positions on the axis
	Known        bool    // there was a good request
	Width        float64
}

// PathViews are the path comparisons with their bars from p50 to p99 on one logarithmic axis.
func (v view) PathViews() (out []pathView) {
	for _, c := range v.Paths {
		out = append(out, c.view())
	}
	return out
}

func (c PathComparison) view() pathView {
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range c.Paths {
		if s := p.Latency.Summary(); s.P50 > 0 {
			low, high = min(low, milliseconds(s.P50)), max(high, milliseconds(s.P99))
		}
	}
	view := pathView{PathComparison: c}
	axis := scale{}
	if low <= high {
		axis, view.Ticks = logarithmic(low, high, 0, barWidth, func(v float64) string {
			if v >= 1000 {
				return tick(v/1000) + " s"
			}
			return tick(v) + " ms"
		})
	}
	for _, p := range c.Paths {
		s := p.Latency.Summary()
		row := pathRow{PathResult: p, Label: p.label(), Ratio: c.ratioText(p), Latency: p.Latency.cells(), Known: s.P50 > 0}
		if row.Known {
			row.P50, row.P99 = axis.pos(milliseconds(s.P50)), axis.pos(milliseconds(s.P99))
			row.Width = round(row.P99 - row.P50)
		}
		view.Rows = append(view.Rows, row)
	}
	return view
}
