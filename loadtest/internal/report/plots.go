package report

import (
	"math"
	"strconv"
	"time"
)

// Colours of the style sheet with a meaning; the others tell steps apart.
const (
	warm = 1
	soft = 6
)

func stepColour(i int) int { return []int{0, 2, 3, 4, 5}[i%5] }

// overTime makes the plots with time on the x axis. A plot without any value is left out.
func (r *Run) overTime() []plot {
	all := r.All()
	plots := []plot{r.throughput(), r.latencies("Latency of good requests", all.Seconds)}
	points := r.series(all.Seconds)
	users, lag := curve{name: "users"}, curve{name: "lag"}
	for _, p := range points {
		users.x, users.y = append(users.x, p.at), append(users.y, p.users)
		lag.x, lag.y = append(lag.x, p.at), append(lag.y, p.lag)
	}
	plots = append(plots, r.timePlot("Active users", "users", []curve{users}), r.timePlot("Replication lag", "ms", []curve{lag}))
	shown := plots[:0]
	for _, p := range plots {
		if !p.Empty {
			shown = append(shown, p)
		}
	}
	return shown
}

// throughput has a line per step, and one for failures if there were any.
func (r *Run) throughput() plot {
	var curves []curve
	add := func(name string, colour int, seconds []Second, value func(point) float64) {
		c := curve{name: name, colour: colour}
		for _, p := range r.series(seconds) {
			c.x, c.y = append(c.x, p.at), append(c.y, value(p))
		}
		curves = append(curves, c)
	}
	for i, s := range r.Steps {
		add(s.Name, stepColour(i), s.Seconds, point.okRate)
	}
	if all := r.All(); all.Failed > 0 {
		add("failed", warm, all.Seconds, point.failedRate)
	}
	return r.timePlot("Throughput", "requests/s", curves)
}

// latencies has a line per percentile, on a logarithmic axis.
func (r *Run) latencies(title string, seconds []Second) plot {
	curves := []curve{{name: "max", colour: soft, thin: true}, {name: "p99", colour: warm}, {name: "p95", colour: 2}, {name: "p50"}}
	for _, p := range r.series(seconds) {
		for i, v := range p.percentiles(100, 99, 95, 50) {
			curves[i].x, curves[i].y = append(curves[i].x, p.at), append(curves[i].y, v)
		}
	}
	low, high, ok := bounds(curves)
	if !ok {
		return plot{Title: title, Empty: true}
	}
	x, xTicks := r.timeAxis()
	y, yTicks := logarithmic(low, high, plotBottom, plotTop, tick)
	return newPlot(title, "ms, logarithmic", x, y, xTicks, yTicks, curves)
}

func (r *Run) timePlot(title, unit string, curves []curve) plot {
	_, high, _ := bounds(curves)
	x, xTicks := r.timeAxis()
	y, yTicks := linear(high, plotBottom, plotTop, tick)
	return newPlot(title, unit, x, y, xTicks, yTicks, curves)
}

// timeAxis has round numbers of seconds, or of minutes from two minutes on.
func (r *Run) timeAxis() (scale, []axisTick) {
	length := max(r.seconds(r.All().Seconds), 0.001)
	s := scale{high: length, from: plotLeft, to: plotRight}
	step, unit := niceStep(length/6), time.Second
	if length >= 120 {
		step, unit = niceStep(length/60/6)*60, time.Minute
	}
	var ticks []axisTick
	for v := 0.0; v <= length; v += step {
		ticks = append(ticks, axisTick{s.pos(v), tick(math.Round(v/unit.Seconds()*100)/100) + map[time.Duration]string{time.Second: " s", time.Minute: " min"}[unit]})
	}
	return s, ticks
}

// percentileCurve shows the whole distribution of each step: the x axis gives every further nine the same
// room, as the plots of HdrHistogram do, so that the tail is as visible as the middle.
func (r *Run) percentileCurve() plot {
	var curves []curve
	most := int64(0)
	for i, s := range r.Steps {
		curves = append(curves, distribution(s.Name, s.Total))
		curves[i].colour = stepColour(i)
		most = max(most, s.Total.Count())
	}
	title := "Latency by percentile"
	low, high, ok := bounds(curves)
	if !ok {
		return plot{Title: title, Empty: true}
	}
	nines := max(math.Ceil(math.Log10(2*float64(most))-1e-9), 2)
	x := scale{high: nines, from: plotLeft, to: plotRight}
	xTicks := nineTicks(x)
	y, yTicks := logarithmic(low, high, plotBottom, plotTop, tick)
	return newPlot(title, "ms, logarithmic", x, y, xTicks, yTicks, curves)
}

// nineTicks marks 50 %, 90 %, 99 % and so on, with a text where there is room for it.
func nineTicks(x scale) []axisTick {
	const character = 6.5                               // the width of one, at least
	ticks := []axisTick{{x.pos(math.Log10(2)), "50 %"}} // 0 % is the left end
	used := ticks[0].Pos + character*2
	for n := 1; float64(n) <= x.high; n++ {
		t := axisTick{x.pos(float64(n)), strconv.FormatFloat(100-math.Pow(10, float64(2-n)), 'f', max(n-2, 0), 64) + " %"}
		half := character * float64(len(t.Text)) / 2
		if t.Pos-half < used {
			t.Text = ""
		} else {
			used = t.Pos + half
		}
		ticks = append(ticks, t)
	}
	return ticks
}

// distribution is the curve of milliseconds over log10(1/(1-q)), q the share of requests that were not slower.
// The slowest request has q = 1 and no place on that axis, so it is drawn half a request before.
func distribution(name string, h Histogram) curve {
	c := curve{name: name}
	total, seen := float64(h.Count()), 0.0
	for i, v := range h.Values {
		before := seen
		seen += float64(h.Counts[i])
		rest := max(total-seen, 0.5)
		x, y := math.Log10(total/rest), milliseconds(micros(v))
		if n := len(c.x); i == 0 || i == len(h.Values)-1 || x-c.x[n-1] > 0.01 {
			c.x = append(c.x, math.Log10(total/max(total-before, 0.5)), x)
			c.y = append(c.y, y, y)
		}
	}
	return c
}
