package primary

import (
	"context"
	"sync"
	"time"
)

// rounds repeats work at intervals, and earlier if a caller waits for it.
type rounds struct {
	ask chan struct{}

	mu   sync.Mutex
	next chan struct{} // closed at the end of the round that has not begun yet
}

func newRounds() rounds {
	return rounds{ask: make(chan struct{}, 1), next: make(chan struct{})}
}

// run works until ctx ends.
func (r *rounds) run(ctx context.Context, every time.Duration, work func(context.Context)) {
	for ctx.Err() == nil {
		r.mu.Lock()
		done := r.next
		r.next = make(chan struct{})
		r.mu.Unlock()
		began := time.Now()
		work(ctx)
		close(done)
		pause(ctx, time.Until(began.Add(leastPause)), nil)
		pause(ctx, time.Until(began.Add(every)), r.ask)
	}
}

func pause(ctx context.Context, d time.Duration, until <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-until:
	case <-ctx.Done():
	}
}

// poke makes the next round begin soon.
func (r *rounds) poke() {
	select {
	case r.ask <- struct{}{}:
	default:
	}
}

// wait waits for the end of a round that begins after the call. It returns false if ctx ends first.
func (r *rounds) wait(ctx context.Context) bool {
	r.mu.Lock()
	next := r.next
	r.mu.Unlock()
	r.poke()
	select {
	case <-next:
		return true
	case <-ctx.Done():
		return false
	}
}
