package report

import (
	"time"
)

// Summary is a histogram in a few figures. Min and Max are bucket edges, Mean is made of bucket middles.
type Summary struct {
	Min  time.Duration `json:"min_ns"`
	Mean time.Duration `json:"mean_ns"`
	P50  time.Duration `json:"p50_ns"`
	P90  time.Duration `json:"p90_ns"`
	P95  time.Duration `json:"p95_ns"`
	P99  time.Duration `json:"p99_ns"`
	P999 time.Duration `json:"p99_9_ns"`
	Max  time.Duration `json:"max_ns"`
}

// Summary returns zeros for an empty histogram.
func (h Histogram) Summary() Summary {
	dense := h.HDR()
	at := func(q float64) time.Duration { return micros(dense.ValueAtPercentile(q)) }
	return Summary{
		Min: micros(dense.Min()), Max: micros(dense.Max()), Mean: time.Duration(dense.Mean() * float64(time.Microsecond)),
		P50: at(50), P90: at(90), P95: at(95), P99: at(99), P999: at(99.9),
	}
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// Step returns the step of that name, an empty one if there is none.
func (r *Run) Step(name string) Step {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return Step{Name: name}
}

// Count is the number of requests, good and bad.
func (s Step) Count() int64 { return s.OK + s.Failed }

// All is the sum of the steps, under the name "all steps". Parts are left out, because the step that they
// are parts of is in it.
func (r *Run) All() Step {
	all := Step{Name: "all steps"}
	for _, s := range r.Steps {
		if !s.Part {
			all.merge(s)
		}
	}
	return all
}

// OpenModel reports whether latencies count from intended starts.
func (r *Run) OpenModel() bool { return r.Arrivals != nil }

// PerSecond is n over the run's time; 0 if it took none.
func (r *Run) PerSecond(n int64) float64 {
	if r.Elapsed <= 0 {
		return 0
	}
	return float64(n) / r.Elapsed.Seconds()
}

// NGrinder holds the run's figures under the names that nGrinder reports use: there a "test" is one
// executed request of the script.
type NGrinder struct {
	TPS          float64       // successful tests per second over the whole run
	PeakTPS      float64       // most successful tests in one second
	MeanTestTime time.Duration // mean of successful tests
	Executed     int64
	Tests        int64 // successful
	Errors       int64
}

// NGrinder sums up all steps.
func (r *Run) NGrinder() NGrinder {
	all := r.All()
	n := NGrinder{TPS: r.PerSecond(all.OK), Executed: all.Count(), Tests: all.OK, Errors: all.Failed, MeanTestTime: all.Service.Summary().Mean}
	for _, s := range all.Seconds {
		n.PeakTPS = max(n.PeakTPS, float64(s.OK))
	}
	return n
}

// Share is the part of the machine's processor time that c used, from 0 to 1; 0 if it is not known.
func (r *Run) Share(c time.Duration) float64 {
	if r.Cores <= 0 || r.Elapsed <= 0 {
		return 0
	}
	return c.Seconds() / r.Elapsed.Seconds() / float64(r.Cores)
}

// PerRequest is the generator's processor time per request.
func (r *Run) PerRequest() time.Duration {
	n := r.All().Count()
	if n == 0 {
		return 0
	}
	return r.Generator.CPU / time.Duration(n)
}
