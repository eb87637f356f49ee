package report

import (
	"math"
	"slices"
	"strconv"
	"time"
)

// maxPoints is how many points a plot over time shows; longer runs put several seconds into one.
const maxPoints = 240

// partial is the least part of the last interval that is worth a point of its own.
const partial = 0.5

// number is a value of a plot. NaN stands for none and is null in JSON.
type number float64

var noNumber = number(math.NaN())

// MarshalJSON keeps six digits, which are enough to draw.
func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', 6, 64), nil
}

// interval is what a point of a plot over time stands for: one or more seconds of the run.
type interval struct {
	middle number // seconds since the start
	width  float64
}

// timeline cuts the run into at most maxPoints intervals of equal width. A short rest at the end is left out, unless
// it is all there is.
func (r *Run) timeline() (axis []interval) {
	length := r.Elapsed.Seconds()
	for _, s := range r.Steps {
		if n := len(s.Seconds); n > 0 {
			length = max(length, float64(s.Seconds[n-1].At)+0.001)
		}
	}
	width := max(math.Ceil(length/maxPoints), 1)
	for from := 0.0; from < length; from += width {
		w := min(width, length-from)
		if w < partial*width && from > 0 {
			break
		}
		axis = append(axis, interval{number(from + w/2), w})
	}
	return axis
}

// sums adds up seconds by interval. Seconds without requests count as zero.
func sums(axis []interval, seconds []Second) []Second {
	out := make([]Second, len(axis))
	for _, s := range seconds {
		if i := int(float64(s.At) / axis[0].width); i < len(axis) {
			out[i].Merge(s)
		}
	}
	return out
}

// observed gives each interval its highest observation.
func (r *Run) observed(axis []interval, value func(Sample) *float64) []number {
	values := slices.Repeat([]number{noNumber}, len(axis))
	samples := r.Samples
	for len(samples) > 1 && samples[len(samples)-1].ActiveUsers == 0 {
		samples = samples[:len(samples)-1] // taken when the last user had stopped: the end, not a drop
	}
	for _, s := range samples {
		v := value(s)
		if v == nil || len(axis) == 0 {
			continue
		}
		if i := int(float64(s.At) / axis[0].width); i < len(axis) && !(values[i] >= number(*v)) { // or none yet
			values[i] = number(*v)
		}
	}
	return values
}

// rates are so many of a second's requests, per second.
func rates(axis []interval, seconds []Second, count func(Second) int64) (out []number) {
	for i, s := range sums(axis, seconds) {
		out = append(out, number(float64(count(s))/axis[i].width))
	}
	return out
}

func milliseconds(d time.Duration) number { return number(float64(d) / float64(time.Millisecond)) }
