package bidbook

import (
	"context"
	"sync/atomic"
	"time"
)

// gate lets a bounded number of reads in at once. A bounded number of others waits for a turn, for a bounded time.
type gate struct {
	slots  chan struct{}
	queue  time.Duration // how long a read waits
	most   int32         // how many reads wait
	queued atomic.Int32
}

func newGate(slots int, queue time.Duration, most int32) *gate {
	return &gate{slots: make(chan struct{}, slots), queue: queue, most: most}
}

// enter takes a slot. It returns ErrBusy if no slot gets free in time, and at once if the read may not wait or too
// many reads do.
func (g *gate) enter(ctx context.Context, wait bool) error {
	select {
	case g.slots <- struct{}{}:
		return nil
	default:
	}
	if !wait {
		return ErrBusy
	}
	defer g.queued.Add(-1)
	if g.queued.Add(1) > g.most {
		return ErrBusy
	}
	turn := time.NewTimer(g.queue)
	defer turn.Stop()
	select {
	case g.slots <- struct{}{}:
		return nil
	case <-turn.C:
		return ErrBusy
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) leave() { <-g.slots }

// full says that a read would have to wait.
func (g *gate) full() bool { return len(g.slots) == cap(g.slots) }
