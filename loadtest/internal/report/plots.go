package report

import (
	"math"
	"slices"
	"strings"
)

// Colours of the style sheet with a meaning; the others tell steps apart.
const (
	warm = 1
	soft = 6
)

// colouredStep is a step with the colour of its lines.
type colouredStep struct {
	Step
	colour int
}

// counted are the steps that no other step counts.
func (r *Run) counted() (steps []colouredStep) {
	for _, s := range r.Steps {
		if !s.Part {
			steps = append(steps, colouredStep{s, []int{0, 2, 3, 4, 5}[len(steps)%5]})
		}
	}
	return steps
}

// What the x axis of a chart is.
const (
	overSeconds = "time"
	overNines   = "nines" // log10(1/(1-q)) of the percentile q: each further nine has the same room, as in HdrHistogram's plots
	overLatency = "latency"
	overBlocks  = "block"
)

// chart is a plot as report.js draws it. All lines have their values at the same X.
type chart struct {
	Title string   `json:"-"`
	Unit  string   `json:"-"`
	Over  string   `json:"over"`
	Log   bool     `json:"log"` // the y axis is logarithmic
	X     []number `json:"x"`
	Lines []curve  `json:"lines"`
}

// curve is a line of a chart.
type curve struct {
	Name   string   `json:"name"`
	Colour int      `json:"colour"`
	Dashed bool     `json:"dashed,omitempty"`
	Y      []number `json:"y"`
}

// add leaves out a line without a value. Later lines of a colour are dashed.
func (c *chart) add(name string, colour int, y []number) {
	if slices.ContainsFunc(y, func(v number) bool { return !math.IsNaN(float64(v)) }) {
		c.Lines = append(c.Lines, curve{name, colour, slices.ContainsFunc(c.Lines, func(l curve) bool { return l.Colour == colour }), y})
	}
}

// drawn leaves out the charts without a line.
func drawn(charts ...chart) []chart {
	return slices.DeleteFunc(charts, func(c chart) bool { return len(c.Lines) == 0 })
}

// Charts are the plots of the whole run.
func (v view) Charts() []chart {
	axis, all := v.timeline(), v.All()
	return drawn(v.throughput(axis, all), v.failures(axis), latencies("Latency of good requests", axis, all.Seconds),
		v.histogram(all), percentileCurve(v.counted()),
		v.samples(axis, "Load", "active users", func(s Sample) *float64 { n := float64(s.ActiveUsers); return &n }),
		v.samples(axis, "Lag of the read model", "ms", func(s Sample) *float64 { return s.LagMS }),
		v.samples(axis, "Generator's machine", "part of it that was busy", func(s Sample) *float64 { return s.Busy }))
}

// StepCharts are the latencies over time of each step, if there are several.
func (v view) StepCharts() (charts []chart) {
	if len(v.Steps) > 1 {
		axis := v.timeline()
		for _, s := range v.Steps {
			charts = append(charts, latencies(s.Name, axis, s.Seconds))
		}
	}
	return drawn(charts...)
}

func timeChart(title, unit string, axis []interval) chart {
	c := chart{Title: title, Unit: unit, Over: overSeconds}
	for _, in := range axis {
		c.X = append(c.X, in.middle)
	}
	return c
}

// throughput has a line for each step, one for failures if there were any, and one for the arrivals of the open model that
// were asked for.
func (r *Run) throughput(axis []interval, all Step) chart {
	c := timeChart("Throughput", "requests/s", axis)
	for _, s := range r.counted() {
		c.add(s.Name, s.colour, rates(axis, s.Seconds, func(s Second) int64 { return s.OK }))
	}
	if all.Failed > 0 {
		c.add("failed", warm, rates(axis, all.Seconds, func(s Second) int64 { return s.Failed }))
	}
	if r.OpenModel() {
		var asked []Second
		for _, s := range r.Samples {
			asked = append(asked, Second{At: s.At, OK: s.Asked})
		}
		c.add("arrivals asked for", soft, rates(axis, asked, func(s Second) int64 { return s.OK }))
	}
	return c
}

// failures has a line for each step in which requests failed.
func (r *Run) failures(axis []interval) chart {
	c := timeChart("Failed requests", "requests/s", axis)
	for _, s := range r.counted() {
		if s.Failed > 0 {
			c.add(s.Name, s.colour, rates(axis, s.Seconds, func(s Second) int64 { return s.Failed }))
		}
	}
	return c
}

// latencies has a line per percentile, where an interval had enough good requests.
func latencies(title string, axis []interval, seconds []Second) chart {
	c := timeChart(title, "ms, logarithmic", axis)
	c.Log = true
	names, colours, percentiles := []string{"max", "p99", "p95", "p50"}, []int{soft, warm, 2, 0}, []float64{100, 99, 95, 50}
	y := make([][]number, len(names))
	for _, s := range sums(axis, seconds) {
		n, dense := s.Total.Count(), s.Total.HDR()
		for i, q := range percentiles {
			v := noNumber
			if n > 0 && (q == 100 || enough(n, q)) {
				v = milliseconds(micros(dense.ValueAtPercentile(q)))
			}
			y[i] = append(y[i], v)
		}
	}
	for i, name := range names {
		c.add(name, colours[i], y[i])
	}
	return c
}

func (r *Run) samples(axis []interval, title, unit string, value func(Sample) *float64) chart {
	c := timeChart(title, unit, axis)
	c.add(unit, 0, r.observed(axis, value))
	return c
}

// perDecade is the number of buckets of the histogram for each power of ten.
const perDecade = 20

func bucket(us int64) int { return int(math.Floor(math.Log10(float64(us))*perDecade + 1e-9)) }

// histogram shows how many percent of a step's good requests took as long as each bucket says, and the same of the
// failed ones.
func (r *Run) histogram(all Step) chart {
	c := chart{Title: "Latency histogram", Unit: "% of the requests", Over: overLatency}
	steps := append(r.counted(), colouredStep{Step{Name: "failed", Total: all.Failures}, warm})
	low, high := math.MaxInt, math.MinInt
	for _, s := range steps {
		for _, v := range s.Total.Values {
			low, high = min(low, bucket(v)), max(high, bucket(v))
		}
	}
	for b := low; b <= high+1; b++ {
		c.X = append(c.X, number(math.Pow(10, float64(b)/perDecade-3)))
	}
	for _, s := range steps {
		y, total := make([]number, len(c.X)), number(s.Total.Count())
		for i, v := range s.Total.Values {
			y[bucket(v)-low] += 100 * number(s.Total.Counts[i]) / total
		}
		if total > 0 {
			c.add(s.Name, s.colour, y)
		}
	}
	return c
}

// perNine is the number of points of the percentile curve for each nine.
const perNine = 20

// percentileCurve shows the distribution of each step as far as a request lies beyond.
func percentileCurve(steps []colouredStep) chart {
	c := chart{Title: "Latency by percentile", Unit: "ms, logarithmic", Over: overNines, Log: true}
	most := int64(1)
	for _, s := range steps {
		most = max(most, s.Total.Count())
	}
	for i := range int(perNine*math.Log10(float64(most))) + 1 {
		c.X = append(c.X, number(i)/perNine)
	}
	for _, s := range steps {
		y, dense, n := slices.Repeat([]number{noNumber}, len(c.X)), s.Total.HDR(), float64(s.Total.Count())
		for i, x := range c.X {
			if beyond := math.Pow(10, -float64(x)); n*beyond >= 1 {
				y[i] = milliseconds(micros(dense.ValueAtPercentile(100 * (1 - beyond))))
			}
		}
		c.add(s.Name, s.colour, y)
	}
	return c
}

// steps are the paths as steps. Warm and cold reads of a path have one colour.
func (c PathComparison) steps() (steps []colouredStep) {
	var seen []string
	for _, p := range c.Paths {
		if !slices.Contains(seen, p.Path) {
			seen = append(seen, p.Path)
		}
		steps = append(steps, colouredStep{Step{Name: p.label(), Total: p.Latency}, slices.Index(seen, p.Path) % (soft + 1)})
	}
	return steps
}

// medians shows the paths block by block. A mark before the name says that a block had too few requests.
func (c PathComparison) medians() chart {
	m := chart{Title: "Median by block", Unit: "ms, logarithmic", Over: overBlocks, Log: true}
	for _, p := range c.Paths {
		for len(m.X) < len(p.Blocks) {
			m.X = append(m.X, number(len(m.X)+1))
		}
	}
	for i, s := range c.steps() {
		y := slices.Repeat([]number{noNumber}, len(m.X))
		for j, block := range c.Paths[i].Blocks {
			if n := block.Count(); n > 0 {
				y[j] = milliseconds(block.Summary().P50)
				if !enough(n, 50) && !strings.HasPrefix(s.Name, fewMark) {
					s.Name = fewMark + s.Name
				}
			}
		}
		m.add(s.Name, s.colour, y)
	}
	return m
}
