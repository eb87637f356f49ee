package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// ErrSlotLost ends a rebuild because the server has given up its slot.
var ErrSlotLost = errors.New("the server has given the slot up: raise max_slot_wal_keep_size")

// CreateSlot makes the slot of the new epoch, and meanwhile reports the transactions that it waits for. If another
// database of the cluster has a slot of that name, CreateSlot raises the epoch and tries again.
func (b *Builder) CreateSlot(ctx context.Context, stream *wal.Stream) (snapshot string, consistent lsn.LSN, err error) {
	telling, done := context.WithCancel(ctx)
	var told sync.WaitGroup
	told.Go(func() { b.tellBlockers(telling, stream.PID()) })
	defer told.Wait()
	defer done()
	for range 100 {
		b.Board.Update(func(s *status.Status) { s.Rebuild.Slot = b.slot() })
		snapshot, consistent, err = stream.CreateSlot(ctx, b.slot())
		if !pg.HasCode(err, pg.DuplicateObject) {
			return snapshot, consistent, err
		}
		b.Epoch++
	}
	return "", 0, err
}

// slot is the name of the slot.
func (b *Builder) slot() string { return b.Pipeline.SlotName(uint64(b.Epoch)) }

// KeptSlot fails if the server gave up the slot during the copy, because no stream could continue from the new epoch.
func (b *Builder) KeptSlot(ctx context.Context) error {
	slots, err := wal.Slots(ctx, b.Control)
	if err != nil {
		return err
	}
	name := b.slot()
	if i := slices.IndexFunc(slots, func(s wal.Slot) bool { return s.Name == name && !s.Lost }); i < 0 {
		return fmt.Errorf("slot %s: %w", name, ErrSlotLost)
	}
	return nil
}

// blockersEvery is how often the transactions that a new slot waits for are listed, and toldEvery is how often they are
// logged.
const (
	blockersEvery = time.Second
	toldEvery     = 30 * time.Second
)

// tellBlockers reports the transactions that a process waits for, in the log and in the status, until the context ends.
func (b *Builder) tellBlockers(ctx context.Context, pid uint32) {
	begun := time.Now()
	var told time.Time
	for sleep.For(ctx, blockersEvery) == nil {
		blockers, err := wal.Blockers(ctx, b.Control, pid)
		if err != nil {
			return // the session has ended or is about to
		}
		var names []string
		for _, x := range blockers {
			names = append(names, x.String())
		}
		b.Board.Update(func(s *status.Status) { s.Rebuild.WaitsFor = names })
		if len(names) > 0 && time.Since(told) >= toldEvery {
			told = time.Now()
			b.Log.Warn("the new slot waits for open transactions to end", "transactions", names, "seconds", time.Since(begun).Seconds())
		}
	}
	b.Board.Update(func(s *status.Status) {
		if p := s.Rebuild; p != nil {
			p.WaitsFor = nil
		}
	})
}
