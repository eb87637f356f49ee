package engine

import (
	"context"
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

	mu  sync.Mutex
	lag *float64 // the latest, until it is taken
}

func startWatch(ctx context.Context, r *run, start time.Time) *watch {
	w := &watch{run: r, start: start, done: make(chan struct{})}
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
	w.look(time.Now())
	return w.samples
}

func (w *watch) everySecond() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			w.look(now)
		case <-w.done:
			return
		}
	}
}

// look assigns everything recorded since the last look to the second that has just ended. If a look is late by
// more than half a second, the series has a gap before it, and nothing is counted twice.
func (w *watch) look(now time.Time) {
	at := int((now.Sub(w.start)+time.Second/2)/time.Second) - 1
	if n := len(w.samples); n > 0 {
		at = max(at, w.samples[n-1].At+1)
	}
	at = max(at, 0)
	last := w.run.recorder.look(at)
	active := int(w.run.active.Load())
	w.samples = append(w.samples, report.Sample{At: at, ActiveUsers: active, LagMS: w.takeLag()})
	p := &w.totals
	p.Elapsed, p.ActiveUsers, p.Last = now.Sub(w.start), active, last
	p.Done += last.OK + last.Failed
	p.Failed += last.Failed
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
