package project

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// board is the status that all parts write to.
type board struct {
	pulse   func() (wal.Pulse, bool) // of the primary
	metrics *metrics

	mu         sync.Mutex
	status     Status
	checkpoint readmodel.Checkpoint
	changes    int       // of the checkpoint
	absent     time.Time // since when there is no checkpoint
	flushed    lsn.LSN   // of the primary, as seen last
	moved      bool      // this session has applied a transaction from the stream
	warned     bool      // of the slot of this rebuild
}

func newBoard(now time.Time) *board { return &board{absent: now} }

func (b *board) update(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// state changes the state. An error is over once the replicator streams again, or waits.
func (b *board) state(s State) {
	b.update(func() {
		b.status.State = s
		if s != Rebuilding {
			b.status.Rebuild, b.warned = nil, false
		}
		if s != Retrying {
			b.status.RetryAt = ""
		}
		if s == Streaming || s == Waiting {
			b.status.LastError, b.status.LastErrorAt = "", ""
		}
	})
	for _, other := range states {
		v := 0.0
		if other == s {
			v = 1
		}
		b.metrics.state.WithLabelValues(string(other)).Set(v)
	}
}

func (b *board) failed(err error, now time.Time, pause time.Duration) {
	b.state(Retrying)
	b.update(func() {
		b.status.LastError, b.status.LastErrorAt = err.Error(), now.UTC().Format(time.RFC3339Nano)
		b.status.RetryAt = now.Add(pause).UTC().Format(time.RFC3339Nano)
	})
	b.metrics.errors.WithLabelValues(errorKind(err)).Inc()
}

// served is the checkpoint that was written last and whether the stream goes on from it.
func (b *board) served() (c readmodel.Checkpoint, streaming bool) {
	b.update(func() { c, streaming = b.checkpoint, b.status.State == Streaming })
	return c, streaming
}

// beat is the number of the heartbeat that the read model holds.
func (b *board) beat() (n int64) {
	b.update(func() { n = b.checkpoint.Beat.Number })
	return n
}

func (b *board) hasMoved() (moved bool) {
	b.update(func() { moved, b.moved = b.moved, false })
	return moved
}

// applied notes the checkpoint that was written; the zero one if it was taken away.
func (b *board) applied(c readmodel.Checkpoint) {
	b.update(func() { b.set(c, time.Now()) })
	b.metrics.lsn.Set(float64(c.LSN))
}

func (b *board) set(c readmodel.Checkpoint, now time.Time) {
	if c.Slot == "" && b.checkpoint.Slot != "" {
		b.absent = now
	}
	b.checkpoint = c
	b.changes++
}

// slot notes how far the primary is, and returns the slot that is in use and whether it is that of a rebuild.
func (b *board) slot(flushed lsn.LSN) (name string, rebuilding bool) {
	b.update(func() {
		b.flushed = flushed
		b.status.RetainedBytes = 0
		name = b.checkpoint.Slot
		if p := b.status.Rebuild; p != nil {
			name, rebuilding = p.Slot, true
		}
	})
	return name, rebuilding
}

func (b *board) warnOnce() (first bool) {
	b.update(func() { first, b.warned = !b.warned, true })
	return first
}

func (b *board) serving() float64 {
	if c, _ := b.served(); c.Slot != "" {
		return 1
	}
	return 0
}

// pulseIsOld is when a primary that was asked every second has not answered for long: it may be down, and what it
// has committed meanwhile is not known.
const pulseIsOld = 5 * time.Second

// lag is how far the read model is behind. While the primary has a heartbeat that the read model lacks, lag is
// the age of the first such heartbeat, by the primary's clock; otherwise the delay of the last one. Without a
// read model it is the time since there was one.
func (b *board) lag(now time.Time) time.Duration {
	if b.checkpoint.Slot == "" {
		return now.Sub(b.absent)
	}
	p, ok := b.pulse()
	if !ok || b.checkpoint.Beat.Number >= p.Newest {
		return time.Duration(b.checkpoint.Delay) * time.Millisecond
	}
	return p.Behind + min(max(now.Sub(p.At), 0), pulseIsOld)
}

// primaryNow is the time on the primary's clock, as far as that is known.
func (b *board) primaryNow(now time.Time) time.Time {
	if p, ok := b.pulse(); ok {
		return now.Add(p.Offset)
	}
	return now
}

func (b *board) read(now time.Time) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	if s.Rebuild != nil {
		p := *s.Rebuild
		s.Rebuild = &p
	}
	s.LagMillis = b.lag(now).Milliseconds()
	if c := b.checkpoint; c.Slot != "" {
		s.LSN, s.Slot, s.Epoch = c.Position().String(), c.Slot, uint64(c.Epoch)
		s.LagBytes = max(int64(b.flushed)-int64(c.LSN), 0)
	}
	return s
}

// mirror reads the checkpoint every second while this replicator does not write it, so that its status is true
// while another one works.
func (r *Replicator) mirror(ctx context.Context) {
	for {
		r.reflect(ctx)
		if wait(ctx, time.Second) != nil {
			return
		}
	}
}

func (r *Replicator) reflect(ctx context.Context) {
	var before int
	var own bool
	r.board.update(func() {
		before = r.board.changes
		own = r.board.status.State == Streaming || r.board.status.State == Rebuilding
	})
	if own {
		return
	}
	stored, err := r.redis.Get(ctx, readmodel.CheckpointKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return // the session tells
	}
	c, _ := readmodel.ParseCheckpoint(stored) // none and one that can't be read serve nobody
	r.board.update(func() {
		if r.board.changes == before {
			r.board.set(c, time.Now())
		}
	})
}
