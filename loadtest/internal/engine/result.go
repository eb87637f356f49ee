package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Step is the record of one named request. Service is the time from sending to the answer; Total the time from
// the intended start (in the closed model Service and the opening of a connection). Both hold successful requests. Unanswered is the Total of the failed
// ones. Part says that another step counts what these requests are parts of.
type Step struct {
	Name                       string
	Part                       bool
	Service, Total, Unanswered *hdrhistogram.Histogram
	OK, Failed                 int64
	Failures                   map[string]Failure
	Seconds                    []report.Second
}

// Failure is one kind of failed request.
type Failure struct {
	Count  int64
	First  time.Time
	Sample string // of the first: the error, or the beginning of the answer's body
}

// Report is the outcome of a run.
type Report struct {
	Steps        []*Step // by name
	Users        report.Users
	Arrivals     *report.Arrivals // nil in the closed model
	Started      time.Time
	Elapsed      time.Duration
	GeneratorCPU time.Duration
	Samples      []report.Sample
}

func newStep(name string, part bool) *Step {
	return &Step{Name: name, Part: part, Failures: make(map[string]Failure),
		Service: report.NewHDR(digits), Total: report.NewHDR(digits), Unanswered: report.NewHDR(digits)}
}

// Merge adds another recording of the same step.
func (s *Step) Merge(o *Step) {
	s.Service.Merge(o.Service)
	s.Total.Merge(o.Total)
	s.Unanswered.Merge(o.Unanswered)
	s.OK += o.OK
	s.Failed += o.Failed
	for kind, f := range o.Failures {
		have, ok := s.Failures[kind]
		if !ok || f.First.Before(have.First) {
			have.First, have.Sample = f.First, f.Sample
		}
		have.Count += f.Count
		s.Failures[kind] = have
	}
}

// Step returns the step of that name. A step that never ran has no requests.
func (r *Report) Step(name string) *Step {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return newStep(name, false)
}

// PerSecond is the rate of successful requests of a step.
func (r *Report) PerSecond(name string) float64 {
	return float64(r.Step(name).OK) / r.Elapsed.Seconds()
}

// Requests is the number of requests, good and bad.
func (r *Report) Requests() (n int64) {
	for _, s := range r.Steps {
		if !s.Part {
			n += s.OK + s.Failed
		}
	}
	return n
}

// Percentile is the total latency that q percent of the step's successful requests did not exceed.
func (s *Step) Percentile(q float64) time.Duration {
	return time.Duration(s.Total.ValueAtPercentile(q)) * time.Microsecond
}

// Fill copies the report into a result.
func (r *Report) Fill(run *report.Run) {
	run.Started, run.Elapsed, run.Samples = r.Started, r.Elapsed, r.Samples
	run.Users, run.Arrivals = r.Users, r.Arrivals
	for _, s := range r.Steps {
		run.Steps = append(run.Steps, report.Step{Name: s.Name, Part: s.Part, OK: s.OK, Failed: s.Failed, Service: report.FromHDR(s.Service),
			Total: report.FromHDR(s.Total), Failures: report.FromHDR(s.Unanswered), Seconds: s.Seconds})
		for kind, f := range s.Failures {
			run.Errors = append(run.Errors, report.ErrorKind{Step: s.Name, Kind: kind, Count: f.Count,
				First: f.First.Sub(r.Started), Sample: f.Sample})
		}
	}
	slices.SortFunc(run.Errors, func(a, b report.ErrorKind) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.First, b.First))
	})
	run.Generator.CPU = r.GeneratorCPU
}
