package report

import (
	"math"
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
	if v == 0 {
		return "0"
	}
	exponent := strconv.FormatFloat(v, 'e', 2, 64) // rounded: 9.999 has one digit before the point, "10.0" two
	power, err := strconv.Atoi(exponent[strings.IndexByte(exponent, 'e')+1:])
	if err != nil {
		return exponent // not a finite number
	}
	decimals := 2 - power
	return strconv.FormatFloat(v, 'f', min(max(decimals, 0), 6), 64)
}

// tick writes an axis value without trailing zeros.
func tick(v float64) string {
	if math.Abs(v) >= 1e3 {
		return progress.Grouped(int64(math.Round(v)))
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
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
	out := strconv.Itoa(s/60%60) + ":" + pad(s%60)
	if h := s / 3600; h > 0 {
		out = strconv.Itoa(h) + ":" + pad(s/60%60) + ":" + pad(s%60)
	}
	return out
}

func pad(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

// elapsed writes how long something took: seconds with three digits, from two minutes on whole seconds.
func elapsed(d time.Duration) string {
	if d < 2*time.Minute {
		return latency(d)
	}
	s := int(d.Round(time.Second).Seconds())
	if s < 3600 {
		return strconv.Itoa(s/60) + " min " + strconv.Itoa(s%60) + " s"
	}
	return strconv.Itoa(s/3600) + " h " + strconv.Itoa(s/60%60) + " min"
}
