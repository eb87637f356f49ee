package status

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Board holds the status, to which all parts of the replicator write.
type Board struct {
	pulse   func() (wal.Pulse, bool) // of the primary
	Metrics *Metrics

	mu         sync.Mutex
	status     Status
	checkpoint readmodel.Checkpoint
	changes    int       // how often the checkpoint was set
	wrote      time.Time // when the checkpoint became another
	absent     time.Time // when the checkpoint was removed last
	flushed    lsn.LSN   // the primary's flush position when it was last seen
	held       time.Time // since when something is held back; zero: nothing is
	moved      bool      // a transaction from the stream was applied since HasMoved was called
	warned     bool      // WarnOnce was called in this rebuild

	listener Listener
}

// NewBoard makes a board and registers its metrics. pulse returns what is known of the primary.
func NewBoard(reg prometheus.Registerer, pulse func() (wal.Pulse, bool), now time.Time) *Board {
	b := &Board{absent: now, wrote: now, pulse: pulse}
	b.Metrics = newMetrics(reg, b)
	b.SetState(Starting)
	return b
}

// Update changes the status.
func (b *Board) Update(f func(*Status)) { b.update(func() { f(&b.status) }) }

func (b *Board) update(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

// SetState changes the state. The last error is removed when the replicator streams, waits or is paused.
func (b *Board) SetState(s State) {
	before := b.Read(time.Now())
	defer b.tellState(before)
	b.update(func() {
		b.status.State = s
		if s != Rebuilding {
			b.status.Rebuild, b.warned = nil, false
			b.Metrics.setPhase("")
		}
		if s != Retrying {
			b.status.RetryAt = ""
		}
		if s != Paused {
			b.status.Pause = nil
		}
		if s == Streaming || s == Waiting || s == Paused {
			b.status.LastError, b.status.LastErrorAt = "", ""
		}
	})
	for _, other := range states {
		v := 0.0
		if other == s {
			v = 1
		}
		b.Metrics.state.WithLabelValues(string(other)).Set(v)
	}
}

// Expect makes the kinds of errors that Failed may get known to the metrics, so that the first error of a kind shows as an
// increase.
func (b *Board) Expect(kinds ...string) {
	for _, kind := range kinds {
		b.Metrics.errors.WithLabelValues(kind)
	}
}

// Rest notes that nothing is applied, because an operator has ordered so.
func (b *Board) Rest(p readmodel.Pause) {
	b.SetState(Paused)
	b.update(func() {
		b.status.Pause = newPause(p)
	})
}

// Failed notes the error that ended a session, its kind, and the pause until the next session.
func (b *Board) Failed(err error, kind string, now time.Time, pause time.Duration) {
	b.SetState(Retrying)
	b.update(func() {
		b.status.LastError, b.status.LastErrorAt = err.Error(), now.UTC().Format(time.RFC3339Nano)
		b.status.RetryAt = now.Add(pause).UTC().Format(time.RFC3339Nano)
	})
	b.Metrics.errors.WithLabelValues(kind).Inc()
	b.tellFailed(kind)
}

// Served returns the last checkpoint that was noted, and whether the replicator streams or is paused.
func (b *Board) Served() (c readmodel.Checkpoint, streaming bool) {
	b.update(func() { c, streaming = b.checkpoint, b.status.State == Streaming || b.status.State == Paused })
	return c, streaming
}

// Beat is the number of the heartbeat that the read model holds.
func (b *Board) Beat() (n int64) {
	b.update(func() { n = b.checkpoint.Beat.Number })
	return n
}

// Moved notes that a transaction from the stream was applied.
func (b *Board) Moved() { b.update(func() { b.moved = true }) }

// HasMoved says whether Moved was called since the last call of HasMoved.
func (b *Board) HasMoved() (moved bool) {
	b.update(func() { moved, b.moved = b.moved, false })
	return moved
}

// Applied notes the checkpoint that was written; zero if it was removed.
func (b *Board) Applied(c readmodel.Checkpoint) {
	b.update(func() { b.set(c, time.Now()) })
	b.Metrics.lsn.Set(float64(c.LSN))
}

func (b *Board) set(c readmodel.Checkpoint, now time.Time) {
	if c.Slot == "" && b.checkpoint.Slot != "" {
		b.absent = now
	}
	if c != b.checkpoint {
		b.wrote = now
	}
	b.checkpoint = c
	b.changes++
}

// Slot notes how far the primary is. It returns the slot in use and whether it is that of a rebuild.
func (b *Board) Slot(flushed lsn.LSN) (name string, rebuilding bool) {
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

// WarnOnce returns true once in each rebuild.
func (b *Board) WarnOnce() (first bool) {
	b.update(func() { first, b.warned = !b.warned, true })
	return first
}

// checkpointAge is for how long the checkpoint has been as it is.
func (b *Board) checkpointAge(now time.Time) (age time.Duration) {
	b.update(func() { age = max(now.Sub(b.wrote), 0) })
	return age
}

// waitingFor is how many transactions a rebuild waits for.
func (b *Board) waitingFor() (n float64) {
	b.update(func() {
		if p := b.status.Rebuild; p != nil {
			n = float64(len(p.WaitsFor))
		}
	})
	return n
}

func (b *Board) serving() float64 {
	if c, _ := b.Served(); c.Slot != "" {
		return 1
	}
	return 0
}

// pulseIsOld bounds the age of a pulse that counts. The primary is asked every second, so an older pulse means that it
// may be down, and what it has committed since is not known.
const pulseIsOld = 5 * time.Second

// lag is how far the read model is behind. While the read model lacks a heartbeat of the primary, lag is the age of the
// first such heartbeat, by the primary's clock. Otherwise lag is the delay of the last heartbeat. Without a read model
// it is the time since there was one.
func (b *Board) lag(now time.Time) time.Duration {
	if b.checkpoint.Slot == "" {
		return now.Sub(b.absent)
	}
	p, ok := b.pulse()
	if !ok || b.checkpoint.Beat.Number >= p.Newest {
		return time.Duration(b.checkpoint.Delay) * time.Millisecond
	}
	lag := p.Behind + min(max(now.Sub(p.At), 0), pulseIsOld)
	if p.Reached < b.checkpoint.Beat.Number {
		// The read model has got further since. What it lacks now is younger than the heartbeat that it holds.
		age := now.Add(p.Offset).Sub(time.UnixMicro(b.checkpoint.Beat.At))
		lag = min(lag, max(age, 0))
	}
	return lag
}

// Holds notes since when something is held back from Redis; zero: nothing is.
func (b *Board) Holds(since time.Time) { b.update(func() { b.held = since }) }

func (b *Board) holding(now time.Time) time.Duration {
	if b.held.IsZero() {
		return 0
	}
	return max(now.Sub(b.held), 0)
}

// PrimaryNow is the time on the primary's clock. If that is not known, it is the given time.
func (b *Board) PrimaryNow(now time.Time) time.Time {
	if p, ok := b.pulse(); ok {
		return now.Add(p.Offset)
	}
	return now
}

// Read returns the status at a time.
func (b *Board) Read(now time.Time) Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.status
	if s.Rebuild != nil {
		p := *s.Rebuild
		s.Rebuild = &p
	}
	s.LagMillis, s.HeldMillis = b.lag(now).Milliseconds(), b.holding(now).Milliseconds()
	if c := b.checkpoint; c.Slot != "" {
		s.LSN, s.Slot, s.Epoch = c.Position().String(), c.Slot, uint64(c.Epoch)
		s.LagBytes = max(int64(b.flushed)-int64(c.LSN), 0)
	}
	return s
}

// Mirror reads the checkpoint and the pause every second unless this replicator writes them, so that its status is true
// while another replicator works.
func (b *Board) Mirror(ctx context.Context, client *redis.Client) {
	for {
		b.reflect(ctx, client)
		if sleep.For(ctx, time.Second) != nil {
			return
		}
	}
}

func (b *Board) reflect(ctx context.Context, client *redis.Client) {
	var before int
	var own bool
	b.update(func() {
		before = b.changes
		own = b.status.State == Streaming || b.status.State == Rebuilding || b.status.State == Paused
	})
	if own {
		return
	}
	stored, err := client.MGet(ctx, readmodel.CheckpointKey, readmodel.PauseKey).Result()
	if err != nil {
		return // the session reports the error
	}
	checkpoint, _ := stored[0].(string)
	c, _ := readmodel.ParseCheckpoint(checkpoint) // zero if it is missing or can't be read: it serves nobody
	ordered, paused := stored[1].(string)
	p, _ := readmodel.ParsePause(ordered)
	b.update(func() {
		if b.changes != before {
			return
		}
		b.set(c, time.Now())
		if b.status.Pause = nil; paused {
			b.status.Pause = newPause(p)
		}
	})
}
