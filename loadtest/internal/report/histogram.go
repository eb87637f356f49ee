package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The range of every histogram in a report, in microseconds. What lies outside is counted at the edge.
const (
	Lowest  = 1
	Highest = int64(2 * time.Minute / time.Microsecond)
)

// Histogram is the sparse form of an HDR histogram of microseconds: only the buckets that hold something,
// each by the lowest value it stands for. It loses nothing, so reports can be merged and compared.
type Histogram struct {
	Digits int     `json:"digits"` // significant digits, 1 to 5; 0 only in an empty histogram
	Values []int64 `json:"values,omitempty"`
	Counts []int64 `json:"counts,omitempty"`
}

// FromHDR returns the sparse form. h must have been made by NewHDR or hold the same range.
func FromHDR(h *hdrhistogram.Histogram) Histogram {
	s := Histogram{Digits: int(h.SignificantFigures())}
	for _, bar := range h.Distribution() {
		if bar.Count > 0 {
			s.Values = append(s.Values, max(bar.From, Lowest))
			s.Counts = append(s.Counts, bar.Count)
		}
	}
	return s
}

// NewHDR returns an empty histogram of the range that reports use.
func NewHDR(digits int) *hdrhistogram.Histogram {
	return hdrhistogram.New(Lowest, Highest, digits)
}

// HDR returns the dense form again. It panics if h was changed after check.
func (h Histogram) HDR() *hdrhistogram.Histogram {
	dense := NewHDR(max(h.Digits, 1))
	for i, v := range h.Values {
		if err := dense.RecordValues(v, h.Counts[i]); err != nil {
			panic("report: a checked histogram holds a value out of range: " + err.Error())
		}
	}
	return dense
}

// At is the value that q percent of the values do not exceed.
func (h Histogram) At(q float64) time.Duration { return micros(h.HDR().ValueAtPercentile(q)) }

// Count is the number of recorded values.
func (h Histogram) Count() (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Merge returns the sum of two histograms. If their precisions differ, the buckets of the coarser histogram are kept.
func (h Histogram) Merge(o Histogram) Histogram {
	switch {
	case len(o.Values) == 0:
		return h
	case len(h.Values) == 0:
		return o
	case h.Digits != o.Digits:
		digits := min(h.Digits, o.Digits)
		return h.coarsen(digits).Merge(o.coarsen(digits))
	}
	counts := make(map[int64]int64, len(h.Values)+len(o.Values))
	for _, from := range []Histogram{h, o} {
		for i, v := range from.Values {
			counts[v] += from.Counts[i]
		}
	}
	sum := Histogram{Digits: h.Digits, Values: slices.Sorted(maps.Keys(counts))}
	for _, v := range sum.Values {
		sum.Counts = append(sum.Counts, counts[v])
	}
	return sum
}

func (h Histogram) coarsen(digits int) Histogram {
	if h.Digits == digits {
		return h
	}
	dense := NewHDR(digits)
	dense.Merge(h.HDR()) // drops nothing: the range is the same
	return FromHDR(dense)
}

// check refuses a histogram that HDR could not take, or that would overflow a sum of counts.
func (h Histogram) check() error {
	if len(h.Values) != len(h.Counts) {
		return fmt.Errorf("histogram has %d values and %d counts", len(h.Values), len(h.Counts))
	}
	if h.Digits < 0 || h.Digits > 5 || h.Digits == 0 && len(h.Values) > 0 {
		return fmt.Errorf("histogram has %d significant digits", h.Digits)
	}
	total, previous := int64(0), int64(Lowest-1)
	for i, v := range h.Values {
		if v <= previous || v > Highest {
			return fmt.Errorf("histogram value %d is out of order or range", v)
		}
		if h.Counts[i] < 1 || h.Counts[i] > math.MaxInt64/4-total {
			return fmt.Errorf("histogram count %d of value %d", h.Counts[i], v)
		}
		total += h.Counts[i]
		previous = v
	}
	return nil
}
