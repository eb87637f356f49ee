package live

import (
	"context"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// exits end feeds and sessions. Each feed or session watches one of the exits, which are closed one after the other,
// so that the clients do not come back all at once.
type exits struct {
	mu     sync.Mutex
	each   []chan struct{}
	closed int // the first ones are closed
	next   int
}

const exitsInAll = 50

func newExits() *exits {
	e := &exits{}
	for range exitsInAll {
		e.each = append(e.each, make(chan struct{}))
	}
	return e
}

// pick returns an exit by turns.
func (e *exits) pick() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = (e.next + 1) % len(e.each)
	return e.each[e.next]
}

// close closes so many exits in all.
func (e *exits) close(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for ; e.closed < n; e.closed++ {
		close(e.each[e.closed])
	}
}

// Drain ends all feeds before ctx ends, which must have a deadline. It begins after two thirds of the time, because a
// client that comes back before the front door knows that this instance stops would come here again.
func (h *Hub) Drain(ctx context.Context) {
	deadline, _ := ctx.Deadline()
	left := time.Until(deadline)
	if sleep.For(ctx, left*2/3) != nil {
		return
	}
	for n := range exitsInAll {
		h.exits.close(n + 1)
		if sleep.For(ctx, left/4/exitsInAll) != nil {
			return
		}
	}
}
