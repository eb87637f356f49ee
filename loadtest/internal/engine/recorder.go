package engine

import (
	"sort"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept in microseconds with three significant digits up to two minutes.
const (
	lowest      = 1
	highest     = int64(2 * time.Minute / time.Microsecond)
	significant = 3
)

type sample struct {
	step, failure  string
	service, total time.Duration
	at             time.Time
}

// Recorder keeps all latencies of a run. Users share a few shards, so that they seldom meet at a lock
// and 6,000 of them need no histogram each.
type Recorder struct{ shards []shard }

type shard struct {
	mu    sync.Mutex
	steps map[string]*Step
	_     [40]byte // keep two shards' locks off one cache line
}

// Step is what one named request did. Service is the time from sending to the answer; Total the time
// from the intended start (the same in the closed model). Only successful requests are in the histograms.
type Step struct {
	Name           string
	Service, Total *hdrhistogram.Histogram
	OK, Failed     int64
	Failures       map[string]Failure
}

// Failure is one kind of failed request.
type Failure struct {
	Count int64
	First time.Time
}

// Report is the outcome of a run.
type Report struct {
	Steps        []*Step // by name
	Elapsed      time.Duration
	GeneratorCPU time.Duration
}

func newRecorder(users int) *Recorder {
	r := &Recorder{shards: make([]shard, min(users, 16))}
	for i := range r.shards {
		r.shards[i].steps = make(map[string]*Step)
	}
	return r
}

func newStep(name string) *Step {
	return &Step{Name: name, Failures: make(map[string]Failure),
		Service: hdrhistogram.New(lowest, highest, significant), Total: hdrhistogram.New(lowest, highest, significant)}
}

func (r *Recorder) add(user int, s sample) {
	sh := &r.shards[user%len(r.shards)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	step, ok := sh.steps[s.step]
	if !ok {
		step = newStep(s.step)
		sh.steps[s.step] = step
	}
	if s.failure != "" {
		step.Failed++
		f := step.Failures[s.failure]
		if f.Count == 0 {
			f.First = s.at
		}
		f.Count++
		step.Failures[s.failure] = f
		return
	}
	step.OK++
	record(step.Service, s.service)
	record(step.Total, s.total)
}

// record puts what lies outside the histogram's range at its edge.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Microseconds(), lowest), highest)); err != nil {
		panic("engine: a value within the range was refused: " + err.Error())
	}
}

// report merges the shards: histograms are added up, percentiles never averaged.
func (r *Recorder) report() *Report {
	merged := make(map[string]*Step)
	for i := range r.shards {
		for name, s := range r.shards[i].steps {
			m, ok := merged[name]
			if !ok {
				m = newStep(name)
				merged[name] = m
			}
			m.Merge(s)
		}
	}
	report := &Report{}
	for _, s := range merged {
		report.Steps = append(report.Steps, s)
	}
	sort.Slice(report.Steps, func(i, j int) bool { return report.Steps[i].Name < report.Steps[j].Name })
	return report
}

// Merge adds another recording of the same step.
func (s *Step) Merge(o *Step) {
	s.Service.Merge(o.Service)
	s.Total.Merge(o.Total)
	s.OK += o.OK
	s.Failed += o.Failed
	for kind, f := range o.Failures {
		have, ok := s.Failures[kind]
		if !ok || f.First.Before(have.First) {
			have.First = f.First
		}
		have.Count += f.Count
		s.Failures[kind] = have
	}
}

// Step returns the step of that name; one that never ran has no requests.
func (r *Report) Step(name string) *Step {
	for _, s := range r.Steps {
		if s.Name == name {
			return s
		}
	}
	return newStep(name)
}

// PerSecond is the rate of successful requests of a step.
func (r *Report) PerSecond(name string) float64 {
	return float64(r.Step(name).OK) / r.Elapsed.Seconds()
}

// Percentile is the total latency that q percent of the step's successful requests did not exceed.
func (s *Step) Percentile(q float64) time.Duration {
	return time.Duration(s.Total.ValueAtPercentile(q)) * time.Microsecond
}
