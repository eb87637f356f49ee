package bidbook

import (
	"context"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// waiter lets any number of requests wait for a position with one poller, which runs only while
// somebody waits.
type waiter struct {
	probe   func(context.Context) (Position, error)
	reached func(at, min lsn.Position) bool
	every   time.Duration // between two probes
	limit   time.Duration // of one probe

	mu      sync.Mutex
	waiting map[*waiting]struct{}
	polling bool
}

type waiting struct {
	min  lsn.Position
	done chan error
}

// mostWaiting is how many wait for a position of one path. Each probe walks through all.
const mostWaiting = 1000

// await returns nil once a probe that began after the call has reached min, the probe's error, ErrBusy if too many wait
// already, or ErrBehind when ctx ends.
func (w *waiter) await(ctx context.Context, min lsn.Position) error {
	me := &waiting{min: min, done: make(chan error, 1)}
	w.mu.Lock()
	if w.waiting == nil {
		w.waiting = map[*waiting]struct{}{}
	}
	if len(w.waiting) >= mostWaiting {
		w.mu.Unlock()
		return ErrBusy
	}
	w.waiting[me] = struct{}{}
	if !w.polling {
		w.polling = true
		go w.poll(context.WithoutCancel(ctx)) // serves the others, too, when this one has left
	}
	w.mu.Unlock()
	select {
	case err := <-me.done:
		return err
	case <-ctx.Done():
		w.mu.Lock()
		delete(w.waiting, me)
		w.mu.Unlock()
		return ErrBehind
	}
}

func (w *waiter) poll(ctx context.Context) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for w.someoneWaits() {
		<-tick.C
		w.once(ctx)
	}
}

func (w *waiter) someoneWaits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polling = len(w.waiting) > 0
	return w.polling
}

func (w *waiter) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	w.mu.Lock()
	asked := make([]*waiting, 0, len(w.waiting))
	for one := range w.waiting {
		asked = append(asked, one)
	}
	w.mu.Unlock()
	at, err := w.probe(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range asked {
		if _, still := w.waiting[one]; still && (err != nil || w.reached(at.At, one.min)) {
			delete(w.waiting, one)
			one.done <- err
		}
	}
}
