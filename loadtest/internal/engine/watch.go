package engine

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// lagEvery is the pause between two looks at the lag, so short that every second has a look.
const lagEvery = time.Second / 2

// watch takes the time series of a run, once a second.
type watch struct {
	run     *run
	start   time.Time
	done    chan struct{}
	work    sync.WaitGroup
	samples []report.Sample
	totals  report.Progress
	busy    machine

	mu  sync.Mutex
	lag *float64 // the latest, until it is taken
}

func startWatch(ctx context.Context, r *run, start time.Time) *watch {
	w := &watch{run: r, start: start, done: make(chan struct{})}
	w.busy.since()
	c := r.config
	w.totals.Limit = c.Duration
	w.totals.Planned = int64(c.VUsers) * int64(c.Iterations) * int64(c.Steady)
	w.work.Go(w.everySecond)
	if c.Lag != nil {
		w.work.Go(func() { w.askLag(ctx) })
	}
	return w
}

// stop takes the last, incomplete second and returns the samples.
func (w *watch) stop() []report.Sample {
	close(w.done)
	w.work.Wait()
	w.look(true)
	return w.samples
}

func (w *watch) everySecond() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.look(false)
		case <-w.done:
			return
		}
	}
}

// look takes the seconds that are over, and notes how things are. The last look, at the end of the run, takes all.
func (w *watch) look(last bool) {
	elapsed := time.Since(w.start)
	over := int(elapsed / time.Second)
	before, at := over, max(over-1, 0)
	if last {
		before, at = math.MaxInt, over
	}
	sum := w.run.recorder.look(before)
	sum.At = at
	active := int(w.run.active.Load())
	sample := report.Sample{ActiveUsers: active, LagMS: w.takeLag(), Busy: w.busy.since()}
	for sample.At = len(w.samples); sample.At <= sum.At; sample.At++ { // a late look stands for the seconds that it missed
		from := time.Duration(sample.At) * time.Second
		sample.Asked = w.run.pace.asked(min(from+time.Second, elapsed)) - w.run.pace.asked(from)
		w.samples = append(w.samples, sample)
	}
	p := &w.totals
	p.Elapsed, p.ActiveUsers, p.Last = elapsed, active, sum
	p.Pause = w.run.pace.stages != nil && sample.Asked == 0 && w.run.pace.begun.Load() < w.run.pace.limit
	p.Done += sum.OK + sum.Failed
	p.Failed += sum.Failed
	if w.run.config.Progress != nil {
		w.run.config.Progress(*p)
	}
}

func (w *watch) askLag(ctx context.Context) {
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-w.done:
			return
		}
		if ms, err := w.run.config.Lag(ctx); err == nil { // an error is a gap in the series
			w.mu.Lock()
			w.lag = &ms
			w.mu.Unlock()
		}
	}
}

func (w *watch) takeLag() *float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	lag := w.lag
	w.lag = nil
	return lag
}
