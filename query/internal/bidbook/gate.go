package bidbook

import (
	"context"
	"sync/atomic"
	"time"
)

// gate lets so many reads in at once. Others wait for their turn, for a bounded time, in a bounded number.
type gate struct {
	slots  chan struct{}
	queue  time.Duration // how long a read waits
	most   int32         // how many reads wait
	queued atomic.Int32
}

func newGate(slots int, queue time.Duration, most int32) *gate {
	return &gate{slots: make(chan struct{}, slots), queue: queue, most: most}
}

// enter takes a slot or returns ErrBusy, at once if the read may not wait or too many do.
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
