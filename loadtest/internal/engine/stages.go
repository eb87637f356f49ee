package engine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Stage is a part of an open load: within Duration the rate goes linearly from that of the stage before, 0 at first, to
// Target, in arrivals per second. k6 calls this a ramping arrival rate.
type Stage struct {
	Duration time.Duration `json:"duration_ns"`
	Target   float64       `json:"target"`
}

// Stages follow each other.
type Stages []Stage

// A stage may take as long as a report can, and ask for more than any generator makes.
const (
	longestStage  = 24 * time.Hour
	highestTarget = 1e9
)

// ParseStages reads "30s:100,1m:1000,30s:0".
func ParseStages(text string) (s Stages, err error) {
	for pair := range strings.SplitSeq(text, ",") {
		length, target, _ := strings.Cut(pair, ":")
		d, wrongTime := time.ParseDuration(length)
		rate, wrongRate := strconv.ParseFloat(target, 64)
		if wrongTime != nil || wrongRate != nil || d < 0 || d > longestStage || !(rate >= 0 && rate <= highestTarget) {
			return nil, fmt.Errorf("%q is not TIME:RATE, such as 30s:100, of up to %.0fh and %g arrivals per second", pair, longestStage.Hours(), highestTarget)
		}
		s = append(s, Stage{d, rate})
	}
	if s.arrivals(s.Length()) <= rounding {
		return nil, fmt.Errorf("%q asks for no arrival", text)
	}
	return s, nil
}

// String is what ParseStages reads.
func (s Stages) String() string {
	var pairs []string
	for _, stage := range s {
		pairs = append(pairs, fmt.Sprintf("%v:%g", stage.Duration, stage.Target))
	}
	return strings.Join(pairs, ",")
}

// Length is the duration of all stages together.
func (s Stages) Length() (sum time.Duration) {
	for _, stage := range s {
		sum += stage.Duration
	}
	return sum
}

// arrivals is the integral of the rate up to t.
func (s Stages) arrivals(t time.Duration) (n float64) {
	from := 0.0
	for _, stage := range s {
		if x := min(t, stage.Duration).Seconds(); x > 0 {
			n += x * (from + (stage.Target-from)*x/stage.Duration.Seconds()/2)
		}
		t, from = t-stage.Duration, stage.Target
	}
	return n
}

// offset is the intended start of arrival n (from 0): the moment from which on the integral of the rate is above n. It
// solves from*x + slope*x*x/2 = n for x, the seconds into the stage, in the form that holds for a slope of zero, too.
func (s Stages) offset(n float64) (t time.Duration) {
	from := 0.0
	for _, stage := range s {
		length := stage.Duration.Seconds()
		all := length * (from + stage.Target) / 2
		if n+rounding < all {
			slope := (stage.Target - from) / length
			sum := from + math.Sqrt(max(0, from*from+2*slope*n)) // 0 if n is
			x := 2 * n / max(sum, math.SmallestNonzeroFloat64)
			return t + min(time.Duration(x*float64(time.Second)), stage.Duration)
		}
		n, t, from = max(0, n-all), t+stage.Duration, stage.Target
	}
	return t
}
