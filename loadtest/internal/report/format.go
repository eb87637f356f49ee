package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
)

// latency writes d with three significant digits in the unit that fits: "850 µs", "1.25 ms", "12.3 s".
func latency(d time.Duration) string {
	switch us := float64(d) / float64(time.Microsecond); {
	case d == 0:
		return "0"
	case math.Abs(us) < 999.5:
		return significant(us) + " µs"
	case math.Abs(us) < 999.5e3:
		return significant(us/1e3) + " ms"
	default:
		return significant(us/1e6) + " s"
	}
}

// significant writes v with three significant digits, or all before the point if there are more.
func significant(v float64) string {
	if v == 0 || math.Abs(v) >= 999.5 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strings.TrimSuffix(fmt.Sprintf("%#.3g", v), ".")
}

// rate writes a number per second: whole above 100, else with three significant digits.
func rate(v float64) string {
	if math.Abs(v) >= 99.95 {
		return progress.Grouped(int64(math.Round(v)))
	}
	return significant(v)
}

// percent writes a share; a small one keeps its digits, and only a true 0 or 1 reads as such.
func percent(share float64) string {
	p := share * 100
	switch {
	case p == 0 || p == 100:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	case p < 0.01:
		return "< 0.01 %"
	case p > 99.99:
		return "> 99.99 %"
	case p > 99:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	}
	return significant(p) + " %"
}

// clock writes a time of the run as minutes and seconds, with hours if there are any.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// elapsed writes how long something took: seconds with three digits, from two minutes on whole seconds.
func elapsed(d time.Duration) string {
	if d < 2*time.Minute {
		return latency(d)
	}
	s := int(d.Round(time.Second).Seconds())
	if s < 3600 {
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
}

// none stands for a missing figure.
const none = "–"

// fewMark stands before a percentile of too few requests, and fewNote says so.
const (
	fewMark = "~"
	fewNote = "~ fewer than ten requests lie beyond this percentile, so it is the figure of single ones"
)

// enough reports whether n requests carry the percentile q, from 0 to 100: at least ten of them must lie beyond it.
func enough(n int64, q float64) bool { return float64(n)*(100-q) >= 1000-1e-6 }

var latencyHead = []string{"min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"}

// cells are the values below latencyHead; an empty histogram has none. A percentile of too few requests has a mark.
func (h Histogram) cells() []string {
	s, n := h.Summary(), h.Count()
	if n == 0 {
		return slices.Repeat([]string{none}, len(latencyHead))
	}
	out := []string{latency(s.Min), latency(s.Mean), latency(s.P50), latency(s.P90), latency(s.P95), latency(s.P99), latency(s.P999), latency(s.Max)}
	for i, q := range []float64{2: 50, 90, 95, 99, 99.9} {
		if q > 0 && !enough(n, q) {
			out[i] = fewMark + out[i]
		}
	}
	return out
}
