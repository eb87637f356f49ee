package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// prepare opens the stream and reads everything on which the decision depends.
func (s *session) prepare(ctx context.Context) (err error) {
	if s.state.stored, err = s.stored(ctx); err != nil {
		return err
	}
	s.succeed(s.state)
	for _, step := range []func(context.Context) error{s.other, s.checkEvictions, s.rewrite, s.enter, s.tryRestore} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if s.stream, err = s.control.node.Stream(ctx, nil); err != nil {
		return err
	}
	s.takeRequest()
	s.state, err = s.inspect(ctx)
	return err
}

// tryRestore finds out whether Redis takes serialised sets.
func (r *Replicator) tryRestore(ctx context.Context) error {
	fits, err := snapshot.TakesRestore(ctx, r.redis)
	if err != nil {
		return err
	}
	if !fits && !r.plain {
		r.log.Warn("this Redis does not take serialised sets: they are written member by member, which takes longer")
	}
	r.plain = !fits
	return nil
}

// stored is the checkpoint as Redis holds it; "" if it is missing.
func (r *Replicator) stored(ctx context.Context) (string, error) {
	stored, err := r.redis.Get(ctx, readmodel.CheckpointKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("redis checkpoint: %w", err)
	}
	return stored, nil
}

// succeed drops the reason for a rebuild that the last session found, if another replicator has served a newer epoch
// since. A request of an operator stays.
func (r *Replicator) succeed(s state) {
	cp := s.checkpoint()
	if cp == nil || cp.Epoch <= r.epoch {
		return
	}
	if r.forced != status.Requested {
		r.forced = status.Resume
	}
	r.epoch = cp.Epoch
}

// inspect reads what Redis and the primary have.
func (s *session) inspect(ctx context.Context) (found state, err error) {
	found.forced, found.node = s.forced, s.control.node
	if found.stored, err = s.stored(ctx); err != nil {
		return found, err
	}
	if found.mark, err = s.redis.Get(ctx, readmodel.RebuildKey).Result(); err != nil && !errors.Is(err, redis.Nil) {
		return found, fmt.Errorf("redis mark: %w", err)
	}
	if found.system, err = s.stream.Identify(ctx); err != nil {
		return found, err
	}
	if err := s.control.leadsTo(ctx, s.stream, found.system); err != nil {
		return found, err
	}
	if err := found.stale(); err != nil && !s.older {
		return found, err
	}
	if found.history, err = s.stream.History(ctx, found.system.Timeline); err != nil {
		return found, err
	}
	if err := s.awaitOpening(ctx, found); err != nil {
		return found, err
	}
	if found.published, err = wal.ReadPublished(ctx, s.control.conn); err != nil {
		return found, err
	}
	if found.slots, err = wal.Slots(ctx, s.control.conn); err != nil {
		return found, err
	}
	return found, s.inspectCheckpoint(ctx, &found)
}

// inspectCheckpoint reads the memory of the checkpoint and ends the walsender that holds its slot.
func (s *session) inspectCheckpoint(ctx context.Context, found *state) (err error) {
	cp, conn := found.checkpoint(), s.control.conn
	if cp == nil || cp.SystemID != found.system.ID {
		return nil
	}
	if found.memory, err = remember(ctx, conn, *cp); err != nil {
		return err
	}
	if found.successor, err = s.findSuccessor(ctx, *found, *cp); err != nil {
		return err
	}
	if slot := found.slot(cp.Slot); slot != nil && slot.ActivePID != 0 {
		s.log.Warn("ending the walsender that a former replicator left", "pid", slot.ActivePID, "slot", slot.Name)
		return wal.Terminate(ctx, conn, slot.ActivePID)
	}
	return nil
}
