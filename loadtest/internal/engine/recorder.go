package engine

import (
	"cmp"
	"maps"
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

// recording holds a step of one shard, and separately the seconds that the watch has not taken yet. service and total are
// those of good requests, failed the total of the others.
type recording struct {
	step                   string
	part                   bool
	service, total, failed *hdrhistogram.Histogram
	errors                 map[string]report.ErrorKind
	open                   []*second
}

// second holds the requests of a step that ended in one second of the run.
type second struct {
	*recording
	at   int
	good *hdrhistogram.Histogram // total
	bad  int64
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
	step := sh.steps[s.step]
	if step == nil {
		step = &recording{step: s.step, part: s.part, errors: make(map[string]report.ErrorKind),
			service: report.NewHDR(digits), total: report.NewHDR(digits), failed: report.NewHDR(digits)}
		sh.steps[s.step] = step
	}
	after := s.at.Sub(r.start)
	now := step.second(int(after / time.Second))
	if s.failure != "" {
		now.bad++
		step.fail(s, after)
		return
	}
	record(now.good, s.total)
	record(step.total, s.total)
	record(step.service, s.service)
}

// second is the open second of that number. Requests end in nearly the order in which they are recorded, so it is
// nearly always the last one.
func (r *recording) second(at int) *second {
	for _, s := range slices.Backward(r.open) {
		if s.at == at {
			return s
		}
	}
	s := &second{recording: r, at: at, good: report.NewHDR(secondDigits)}
	r.open = append(r.open, s)
	return s
}

func (r *recording) fail(s sample, after time.Duration) {
	record(r.failed, s.total)
	e, known := r.errors[s.failure]
	if !known {
		detail := s.detail()
		e = report.ErrorKind{Step: s.step, Kind: s.failure, First: after, Sample: detail[:min(len(detail), maxDetail)]}
	}
	e.Count++
	r.errors[s.failure] = e
}

// record counts a latency outside the histogram's range at the edge of the range.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	if err := h.RecordValue(min(max(d.Microseconds(), report.Lowest), report.Highest)); err != nil {
		panic("engine: a value within the range was refused: " + err.Error())
	}
}

// look takes the seconds before the given one from the shards, and returns the sum of all steps. A request that was
// recorded late is added to its own second, although that was taken before.
func (r *Recorder) look(before int) (all report.Second) {
	for i := range r.shards {
		for _, s := range r.shards[i].take(before) {
			one := report.Second{At: s.at, OK: s.good.TotalCount(), Failed: s.bad, Total: report.FromHDR(s.good)}
			r.seconds[s.step] = report.AddSeconds(r.seconds[s.step], one)
			if !s.part {
				all.Merge(one)
			}
		}
	}
	return all
}

// take returns and forgets the seconds before the given one.
func (sh *shard) take(before int) (taken []*second) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for _, step := range sh.steps {
		step.open = slices.DeleteFunc(step.open, func(s *second) bool {
			if s.at < before {
				taken = append(taken, s)
			}
			return s.at < before
		})
	}
	return taken
}

// report merges the shards: histograms are added up, percentiles never averaged.
func (r *Recorder) report() (*report.Run, error) {
	var parts []*report.Run
	for i := range r.shards {
		parts = append(parts, r.shards[i].report(r.start))
	}
	all, err := report.Merge(parts)
	if err != nil {
		return nil, err
	}
	for i := range all.Steps {
		all.Steps[i].Seconds = r.seconds[all.Steps[i].Name]
	}
	slices.SortFunc(all.Steps, func(a, b report.Step) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(all.Errors, func(a, b report.ErrorKind) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.First, b.First))
	})
	return all, nil
}

func (sh *shard) report(start time.Time) *report.Run {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	part := &report.Run{Started: start}
	for _, s := range sh.steps {
		part.Steps = append(part.Steps, report.Step{Name: s.step, Part: s.part, OK: s.total.TotalCount(), Failed: s.failed.TotalCount(),
			Service: report.FromHDR(s.service), Total: report.FromHDR(s.total), Failures: report.FromHDR(s.failed)})
		part.Errors = slices.AppendSeq(part.Errors, maps.Values(s.errors))
	}
	return part
}
