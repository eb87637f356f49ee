package engine

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Latencies are kept in microseconds: with three significant digits over the run, with two per second.
const (
	digits       = 3
	secondDigits = 2
)

// maxDetail bounds the sample of an error, in bytes.
const maxDetail = 300

type sample struct {
	step, failure  string
	detail         func() string // of a failure
	service, total time.Duration
	at             time.Time
}

// Recorder keeps all latencies of a run. Users share a few shards, so that they seldom wait for the same lock
// and 6,000 users don't need a histogram each.
type Recorder struct {
	shards []shard
	// seconds holds what the shards had for each whole second, by step. Only the watch touches it.
	seconds map[string][]report.Second
}

type shard struct {
	mu    sync.Mutex
	steps map[string]*recording
	_     [40]byte // keep two shards' locks off one cache line
}

// recording holds a step of one shard, and separately the requests since the last look.
type recording struct {
	Step
	since              *hdrhistogram.Histogram
	sinceOK, sinceFail int64
}

func newRecorder(users int) *Recorder {
	r := &Recorder{shards: make([]shard, min(users, 16)), seconds: make(map[string][]report.Second)}
	for i := range r.shards {
		r.shards[i].steps = make(map[string]*recording)
	}
	return r
}

func (r *Recorder) add(user int, s sample) {
	sh := &r.shards[user%len(r.shards)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	step, ok := sh.steps[s.step]
	if !ok {
		step = &recording{Step: *newStep(s.step), since: report.NewHDR(secondDigits)}
		sh.steps[s.step] = step
	}
	if s.failure != "" {
		step.fail(s)
		return
	}
	step.OK++
	step.sinceOK++
	record(step.Service, s.service)
	record(step.Total, s.total)
	record(step.since, s.total)
}

func (r *recording) fail(s sample) {
	r.Failed++
	r.sinceFail++
	f := r.Failures[s.failure]
	if f.Count == 0 {
		f.First, f.Sample = s.at, s.detail()
		f.Sample = f.Sample[:min(len(f.Sample), maxDetail)]
	}
	f.Count++
	r.Failures[s.failure] = f
}

// record counts a latency outside the histogram's range at the edge of the range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Microseconds(), report.Lowest), report.Highest)); err != nil {
		panic("engine: a value within the range was refused: " + err.Error())
	}
}

// look assigns the requests since the last look to the whole second at, and returns the sum of all steps.
func (r *Recorder) look(at int) report.Second {
	fresh := make(map[string]*recording)
	for i := range r.shards {
		r.shards[i].take(fresh)
	}
	all := report.Second{At: at}
	total := report.NewHDR(secondDigits)
	for name, f := range fresh {
		r.seconds[name] = append(r.seconds[name],
			report.Second{At: at, OK: f.sinceOK, Failed: f.sinceFail, Total: report.FromHDR(f.since)})
		all.OK += f.sinceOK
		all.Failed += f.sinceFail
		total.Merge(f.since)
	}
	all.Total = report.FromHDR(total)
	return all
}

func (sh *shard) take(into map[string]*recording) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for name, s := range sh.steps {
		if s.sinceOK+s.sinceFail == 0 {
			continue
		}
		sum, ok := into[name]
		if !ok {
			sum = &recording{since: report.NewHDR(secondDigits)}
			into[name] = sum
		}
		sum.sinceOK += s.sinceOK
		sum.sinceFail += s.sinceFail
		sum.since.Merge(s.since)
		s.since.Reset()
		s.sinceOK, s.sinceFail = 0, 0
	}
}

// report merges the shards: histograms are added up, percentiles never averaged.
func (r *Recorder) report(start time.Time) *Report {
	merged := make(map[string]*Step)
	for i := range r.shards {
		for name, s := range r.shards[i].steps {
			m, ok := merged[name]
			if !ok {
				m = newStep(name)
				merged[name] = m
			}
			m.Merge(&s.Step)
		}
	}
	result := &Report{Started: start}
	for name, s := range merged {
		s.Seconds = r.seconds[name]
		result.Steps = append(result.Steps, s)
	}
	slices.SortFunc(result.Steps, func(a, b *Step) int { return cmp.Compare(a.Name, b.Name) })
	return result
}
