package session

import (
	"context"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// dropOrphanedSlots drops the unused slots of epochs before the given one, which former epochs and interrupted rebuilds
// have left. It keeps the slots of other pipelines, and the slot with the name except. A replicator that was stopped and
// wakes up can't drop the slot of its successor's epoch, because epochs only rise. If it drops the slot of a timeline,
// Redis is rebuilt. done says that no orphaned slot is left.
func (r *Replicator) dropOrphanedSlots(ctx context.Context, q wal.Querier, except string, before readmodel.Epoch) (done bool, err error) {
	slots, err := wal.Slots(ctx, q)
	if err != nil {
		return false, err
	}
	done = true
	for _, s := range slots {
		e := readmodel.Epoch(r.pipeline.SlotEpoch(s.Name))
		if s.Name == except || e == 0 || e >= before {
			continue
		}
		if s.ActivePID != 0 {
			done = false
			continue
		}
		if err := wal.Drop(ctx, q, s.Name); err != nil {
			return false, err
		}
		r.log.Info("dropped the slot of a former epoch", "slot", s.Name, "retained_bytes", s.RetainedBytes)
	}
	return done, nil
}

func (s *session) drop(ctx context.Context, slot string) error {
	conn, err := s.control.node.Open(ctx, nil)
	if err != nil {
		return err
	}
	defer wal.Close(conn)
	return wal.Drop(ctx, conn, slot)
}

const (
	cleanUpPause = 10 * time.Millisecond // spreads the removal of old keys, to about 50,000 a second
	cleanUpAgain = 5 * time.Second
)

// cleanUp removes the slots and keys of all epochs except the served one, and tries again until that is done. This
// includes the rebuild of an interrupted session, whose mark is removed first so that the rebuild can't go on.
func (s *session) cleanUp(ctx context.Context, cp readmodel.Checkpoint) {
	before := max(cp.Epoch, snapshot.MarkEpoch(s.state.mark)+1)
	for slots, keys := false, false; !slots || !keys; {
		var err error
		if !slots {
			if slots, err = s.cleanUpSlots(ctx, cp, before); err != nil && ctx.Err() == nil {
				s.log.Warn("old slots are left for now", "error", err)
			}
		}
		if !keys {
			keys = s.cleanUpKeys(ctx, cp)
		}
		if (!slots || !keys) && sleep.For(ctx, cleanUpAgain) != nil {
			return
		}
	}
}

func (s *session) cleanUpSlots(ctx context.Context, cp readmodel.Checkpoint, before readmodel.Epoch) (bool, error) {
	if mark := s.state.mark; mark != "" {
		if err := sink.Remove(ctx, s.redis, readmodel.RebuildKey, sink.NoToken, mark); err != nil {
			return false, err
		}
	}
	conn, err := s.control.node.Open(ctx, nil)
	if err != nil {
		return false, err
	}
	defer wal.Close(conn)
	return s.dropOrphanedSlots(ctx, conn, cp.Slot, before)
}

func (r *Replicator) cleanUpKeys(ctx context.Context, cp readmodel.Checkpoint) bool {
	n, err := sink.Sweep(ctx, r.redis, readmodel.CheckpointKey, cp.Token, sink.Epochs{cp.Epoch: true}, cleanUpPause)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("old keys are left for now", "error", err)
	}
	if n > 0 {
		r.log.Info("removed the keys of other epochs", "keys", n)
	}
	if n > 0 && err == nil {
		r.shorten(ctx)
	}
	return err == nil
}
