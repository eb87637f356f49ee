package report

import (
	"math"
	"time"
)

// maxPoints is how many points a plot over time shows; longer runs put several seconds into one.
const maxPoints = 240

// partial is the least part of the last second that is worth a point of its own.
const partial = 0.5

// point is one or more seconds of the run.
type point struct {
	at    float64 // middle, seconds since the start
	width float64 // seconds that it stands for
	Second
	users float64 // NaN if not observed, as is the lag
	lag   float64 // milliseconds, the highest
}

// series puts a step's seconds and the run's samples into at most maxPoints points of equal width. Seconds
// without requests count as zero; a short rest at the end is left out, unless it is all there is.
func (r *Run) series(seconds []Second) []point {
	length := r.seconds(seconds)
	width := max(math.Ceil(length/maxPoints), 1)
	points := make([]point, 0, maxPoints)
	for from := 0.0; from < length; from += width {
		w := min(width, length-from)
		if w < partial*width && from > 0 {
			break
		}
		points = append(points, point{at: from + w/2, width: w, users: math.NaN(), lag: math.NaN()})
	}
	for _, s := range seconds {
		if i := int(float64(s.At) / width); i < len(points) {
			points[i].merge(s)
		}
	}
	samples := r.Samples
	for len(samples) > 1 && samples[len(samples)-1].ActiveUsers == 0 {
		samples = samples[:len(samples)-1] // taken when the last user had stopped: the end, not a drop
	}
	for _, s := range samples {
		if i := int(float64(s.At) / width); i < len(points) {
			points[i].sample(s)
		}
	}
	return points
}

// seconds is the length of the series: the run's time, or up to the last second seen.
func (r *Run) seconds(seconds []Second) float64 {
	length := r.Elapsed.Seconds()
	if n := len(seconds); n > 0 {
		length = max(length, float64(seconds[n-1].At)+0.001)
	}
	return length
}

func (p *point) sample(s Sample) {
	p.users = highest(p.users, float64(s.ActiveUsers))
	if s.LagMS != nil {
		p.lag = highest(p.lag, *s.LagMS)
	}
}

// highest is the larger number, where NaN stands for none.
func highest(a, b float64) float64 {
	if math.IsNaN(a) {
		return b
	}
	return max(a, b)
}

func (p point) okRate() float64     { return float64(p.OK) / p.width }
func (p point) failedRate() float64 { return float64(p.Failed) / p.width }

// percentiles returns those of the point in milliseconds, NaN if it had no good request.
func (p point) percentiles(qs ...float64) []float64 {
	out := make([]float64, len(qs))
	dense := p.Total.HDR()
	for i, q := range qs {
		out[i] = math.NaN()
		if dense.TotalCount() > 0 {
			out[i] = milliseconds(micros(dense.ValueAtPercentile(q)))
		}
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
