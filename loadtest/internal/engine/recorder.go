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

// sample is the record of one request, or of one wish with all its attempts.
type sample struct {
	step, failure  string
	detail         func() string // of a failure
	part           bool          // of what another step counts
	service, total time.Duration
	at             time.Time // of its end
}

// Recorder keeps all latencies of a run. Users share a few shards, so that they seldom wait for the same lock
// and 6,000 users don't need a histogram each.
type Recorder struct {
	start  time.Time
	shards []shard
	// seconds holds what the shards had for each second, by step and in order. Only the watch touches it.
	seconds map[string][]report.Second
}

type shard struct {
	mu    sync.Mutex
	steps map[string]*recording
	_     [40]byte // keep two shards' locks off one cache line
}

// recording holds a step of one shard, and separately the seconds that the watch has not taken yet.
type recording struct {
	Step
	open []second
}

// second counts the requests of a step that ended in one second of the run.
type second struct {
	at         int
	ok, failed int64
	total      *hdrhistogram.Histogram
}

func newRecorder(users int, start time.Time) *Recorder {
	r := &Recorder{start: start, shards: make([]shard, min(users, 16)), seconds: make(map[string][]report.Second)}
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
		step = &recording{Step: *newStep(s.step, s.part)}
		sh.steps[s.step] = step
	}
	now := step.second(int(s.at.Sub(r.start) / time.Second))
	if s.failure != "" {
		step.fail(s)
		now.failed++
		return
	}
	step.OK++
	now.ok++
	record(step.Service, s.service)
	record(step.Total, s.total)
	record(now.total, s.total)
}

// second is the open second of that number. Requests end in nearly the order in which they are recorded, so it is
// nearly always the last one.
func (r *recording) second(at int) *second {
	for i := len(r.open) - 1; i >= 0; i-- {
		if r.open[i].at == at {
			return &r.open[i]
		}
	}
	r.open = append(r.open, second{at: at, total: report.NewHDR(secondDigits)})
	return &r.open[len(r.open)-1]
}

func (s *Step) fail(o sample) {
	s.Failed++
	record(s.Unanswered, o.total)
	f := s.Failures[o.failure]
	if f.Count == 0 {
		f.First, f.Sample = o.at, o.detail()
		f.Sample = f.Sample[:min(len(f.Sample), maxDetail)]
	}
	f.Count++
	s.Failures[o.failure] = f
}

// record counts a latency outside the histogram's range at the edge of the range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Microseconds(), report.Lowest), report.Highest)); err != nil {
		panic("engine: a value within the range was refused: " + err.Error())
	}
}

// look takes the seconds before the given one from the shards, and returns the sum of all steps. A request that was
// recorded late is added to its own second, although that was taken before.
func (r *Recorder) look(before int) report.Second {
	all := second{total: report.NewHDR(secondDigits)}
	for name, taken := range r.take(before) {
		for _, s := range taken.open {
			r.seconds[name] = enter(r.seconds[name], s.report())
			if !taken.Part {
				all.merge(s)
			}
		}
	}
	return all.report()
}

// take returns and forgets the shards' seconds before the given one, by step.
func (r *Recorder) take(before int) map[string]*recording {
	taken := make(map[string]*recording)
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		for name, s := range sh.steps {
			if taken[name] == nil {
				taken[name] = &recording{Step: Step{Part: s.Part}}
			}
			s.open = slices.DeleteFunc(s.open, func(o second) bool {
				if o.at < before {
					taken[name].second(o.at).merge(o)
				}
				return o.at < before
			})
		}
		sh.mu.Unlock()
	}
	return taken
}

// enter adds a second to a list in order.
func enter(list []report.Second, s report.Second) []report.Second {
	i, found := slices.BinarySearchFunc(list, s.At, func(have report.Second, at int) int { return cmp.Compare(have.At, at) })
	if !found {
		return slices.Insert(list, i, s)
	}
	list[i].OK += s.OK
	list[i].Failed += s.Failed
	list[i].Total = list[i].Total.Merge(s.Total)
	return list
}

func (s *second) merge(o second) {
	s.ok += o.ok
	s.failed += o.failed
	s.total.Merge(o.total)
}

func (s *second) report() report.Second {
	return report.Second{At: s.at, OK: s.ok, Failed: s.failed, Total: report.FromHDR(s.total)}
}

// report merges the shards: histograms are added up, percentiles never averaged.
func (r *Recorder) report() *Report {
	merged := make(map[string]*Step)
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		for name, s := range sh.steps {
			m, ok := merged[name]
			if !ok {
				m = newStep(name, s.Part)
				merged[name] = m
			}
			m.Merge(&s.Step)
		}
		sh.mu.Unlock()
	}
	result := &Report{Started: r.start}
	for name, s := range merged {
		s.Seconds = r.seconds[name]
		result.Steps = append(result.Steps, s)
	}
	slices.SortFunc(result.Steps, func(a, b *Step) int { return cmp.Compare(a.Name, b.Name) })
	return result
}
