package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// The drawing area of a plot within its SVG, in SVG units; lines are labelled right of it.
const (
	plotWidth, plotHeight = 560.0, 210.0
	plotLeft, plotRight   = 58.0, 440.0
	plotTop, plotBottom   = 12.0, 178.0
	labelGap              = 13.0 // between two labels of lines
	maxLabel              = 17   // characters
	minLogTicks           = 3
)

// plot is a line chart ready for the template.
type plot struct {
	Title, Unit    string
	XTicks, YTicks []axisTick
	Lines          []plotLine
	Empty          bool
}

type axisTick struct {
	Pos  float64
	Text string
}

type plotLine struct {
	Path       string // SVG path data
	Dots       []dot  // single points, which a path would not show
	Colour     int
	Text, Full string
	EndX, EndY float64
	LabelY     float64
	Thin       bool
}

type dot struct{ X, Y float64 }

// curve is what a line is made of: its points, NaN in y where there is none.
type curve struct {
	name   string
	colour int
	x, y   []float64
	thin   bool
}

// scale maps values to SVG units.
type scale struct {
	low, high float64
	from, to  float64
	log       bool
}

func (s scale) pos(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		low, high, v = math.Log10(low), math.Log10(high), math.Log10(v)
	}
	return round(s.from + (s.to-s.from)*(v-low)/(high-low))
}

// round keeps the file small: a tenth of a unit can't be seen.
func round(v float64) float64 { return math.Round(v*10) / 10 }

// newPlot draws curves on given scales.
func newPlot(title, unit string, x, y scale, xTicks, yTicks []axisTick, curves []curve) plot {
	p := plot{Title: title, Unit: unit, XTicks: xTicks, YTicks: yTicks, Empty: true}
	for _, c := range curves {
		line := draw(c, x, y)
		if line.Path != "" || len(line.Dots) > 0 {
			p.Empty = false
			p.Lines = append(p.Lines, line)
		}
	}
	spread(p.Lines)
	return p
}

func draw(c curve, x, y scale) plotLine {
	line := plotLine{Text: shorten(c.name), Full: c.name, Colour: c.colour, Thin: c.thin}
	var path strings.Builder
	run := 0 // points since the last gap
	for i, v := range c.y {
		if math.IsNaN(v) {
			run = 0
			continue
		}
		at := dot{x.pos(c.x[i]), y.pos(v)}
		command := "L"
		if run == 0 {
			command = "M"
		}
		if run == 0 && (i+1 == len(c.y) || math.IsNaN(c.y[i+1])) {
			line.Dots = append(line.Dots, at)
		} else {
			fmt.Fprintf(&path, "%s%g %g", command, at.X, at.Y)
		}
		run++
		line.EndX, line.EndY = at.X, at.Y
	}
	line.Path = path.String()
	return line
}

func shorten(s string) string {
	if r := []rune(s); len(r) > maxLabel {
		return string(r[:maxLabel-1]) + "…"
	}
	return s
}

// spread puts the labels beside the ends of their lines and moves them apart, within the plot.
func spread(lines []plotLine) {
	order := make([]*plotLine, len(lines))
	for i := range lines {
		order[i] = &lines[i]
	}
	slices.SortStableFunc(order, func(a, b *plotLine) int { return int(math.Copysign(1, a.EndY-b.EndY)) })
	lowest := plotTop
	for _, l := range order {
		l.LabelY = max(l.EndY, lowest)
		lowest = l.LabelY + labelGap
	}
	highest := plotBottom + labelGap
	for _, l := range slices.Backward(order) {
		l.LabelY = min(l.LabelY, highest)
		highest = l.LabelY - labelGap
	}
}

// linear returns a scale from 0 to a round number not below top, with its ticks.
func linear(top float64, from, to float64, text func(float64) string) (scale, []axisTick) {
	step := niceStep(top / 4)
	high := step * max(math.Ceil(top/step-1e-9), 1)
	s := scale{high: high, from: from, to: to}
	var ticks []axisTick
	for v := 0.0; v <= high+step/2; v += step {
		ticks = append(ticks, axisTick{s.pos(v), text(v)})
	}
	return s, ticks
}

// niceStep is 1, 2 or 5 times a power of ten, not below v; 1 if v is not positive.
func niceStep(v float64) float64 {
	if !(v > 0) {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// niceFloor is 1, 2 or 5 times a power of ten, not above v > 0.
func niceFloor(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)+1e-9))
	for _, m := range []float64{5, 2} {
		if m*power <= v*(1+1e-9) {
			return m * power
		}
	}
	return power
}

// logarithmic returns a scale that holds low to high, both above 0, with ticks at powers of ten, and at 2
// and 5 times them if there are few.
func logarithmic(low, high float64, from, to float64, text func(float64) string) (scale, []axisTick) {
	low, top := niceFloor(low), niceStep(high)
	if top <= low {
		top = niceStep(low * 1.5)
	}
	s := scale{low: low, high: top, from: from, to: to, log: true}
	multiples := []float64{1}
	if math.Log10(top/low) < minLogTicks {
		multiples = []float64{1, 2, 5}
	}
	var ticks []axisTick
	for power := math.Pow(10, math.Floor(math.Log10(low)+1e-9)); power <= top*(1+1e-9); power *= 10 {
		for _, m := range multiples {
			if v := m * power; v >= low*(1-1e-9) && v <= top*(1+1e-9) {
				ticks = append(ticks, axisTick{s.pos(v), text(v)})
			}
		}
	}
	return s, ticks
}

// bounds are the lowest and highest numbers above zero; ok is false without any.
func bounds(curves []curve) (low, high float64, ok bool) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, v := range c.y {
			if v > 0 {
				low, high, ok = min(low, v), max(high, v), true
			}
		}
	}
	return low, high, ok
}
