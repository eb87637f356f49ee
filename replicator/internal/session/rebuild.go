package session

import (
	"context"
	"errors"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// errRebuild marks the errors of a rebuild.
var errRebuild = errors.New("rebuild")

// rebuild fills the next epoch from the snapshot of a new slot and switches the checkpoint to it. Until then the old
// epoch is served as it stands, if it has a checkpoint. It returns the guard of the new checkpoint and closes the old
// guard in any case.
func (s *session) rebuild(ctx context.Context, old *sink.Writer) (*sink.Writer, readmodel.Checkpoint, error) {
	begun := time.Now()
	s.board.Metrics.Rebuilds.WithLabelValues(string(s.reason)).Inc()
	s.board.Update(func(now *status.Status) { now.Rebuilds++; now.Rebuild = &status.Progress{Reason: s.reason} })
	s.board.SetState(status.Rebuilding)
	s.board.SetPhase(status.Preparing)
	defer s.closeQuietly(old.Close)
	// This is checked only after claim. If a table was left out of the publication, the served epoch lacks changes too,
	// and claim has removed its checkpoint.
	if err := s.state.published.Check(); err != nil {
		return nil, readmodel.Checkpoint{}, err
	}
	b := &snapshot.Builder{Pipeline: s.pipeline, Redis: s.redis, Node: s.control.node, Published: s.state.published, Token: s.token, Plain: s.plain,
		Board: s.board, Repairs: s.repairs, Log: s.log,
		Epoch: snapshot.NextEpoch(s.pipeline, s.state.checkpoint(), s.state.slots, s.state.mark, s.observer.Clock.Now())}
	defer s.closeQuietly(b.Close)
	before, err := s.beginBuild(ctx, b, old.Value() != "")
	if err != nil {
		return nil, readmodel.Checkpoint{}, err
	}
	s.epoch = b.Epoch
	s.log.Warn("rebuilding the read model", "reason", s.reason, "epoch", b.Epoch)
	cp, rows, err := s.build(ctx, b)
	if err != nil {
		return nil, cp, err
	}
	s.board.SetPhase(status.Switching)
	if err := s.await(ctx, cp.LSN); err != nil {
		return nil, cp, err
	}
	guard, err := b.Finish(old.Value(), cp, s.evictions)
	if err != nil {
		return nil, cp, err
	}
	if after, err := redisinfo.Read(ctx, s.redis); err == nil {
		s.measured(before, after, rows)
	}
	s.log.Info("rebuilt the read model", "epoch", b.Epoch, "rows", rows, "lsn", cp.LSN.String(), "seconds", time.Since(begun).Seconds())
	return guard, cp, nil
}

// beginBuild removes what former rebuilds left, and fails if the new epoch does not fit into Redis. served says that
// the old epoch has a checkpoint and stays. It returns the memory in use before the copy.
func (s *session) beginBuild(ctx context.Context, b *snapshot.Builder, served bool) (m memoryUse, err error) {
	keep := sink.Epochs{}
	var slot string
	if cp := s.state.checkpoint(); cp != nil && served {
		keep[cp.Epoch], slot = true, cp.Slot
	}
	if err := b.Begin(ctx, s.state.mark, keep); err != nil {
		return m, err
	}
	if m, err = s.memoryFor(ctx, b.Control); err != nil {
		return m, err
	}
	if err := m.check(served, s.reason); err != nil {
		return m, err
	}
	_, err = s.dropOrphanedSlots(ctx, b.Control, slot, b.Epoch)
	return m, err
}

// build makes the slot and copies its snapshot. It returns the checkpoint of the new epoch and the number of rows.
func (s *session) build(ctx context.Context, b *snapshot.Builder) (cp readmodel.Checkpoint, rows int64, err error) {
	s.board.SetPhase(status.CreatingSlot)
	name, consistent, err := b.CreateSlot(ctx, s.stream)
	if err != nil {
		return cp, 0, err
	}
	s.board.SetPhase(status.Copying)
	rows, err = b.Load(ctx, name, consistent)
	if err == nil {
		err = b.KeptSlot(ctx)
	}
	slot := s.pipeline.SlotName(uint64(b.Epoch))
	if err != nil {
		// The slot is useless now. It can be dropped only when this connection, which made it, is closed.
		s.stream.Close()
		return cp, rows, errors.Join(err, s.drop(context.WithoutCancel(ctx), slot))
	}
	return readmodel.Checkpoint{
		SystemID: s.state.system.ID, Timeline: s.state.system.Timeline, Slot: slot, LSN: consistent, Epoch: b.Epoch,
		Token: s.token, Publication: s.state.published.Fingerprint, Beat: b.Beat, Server: s.state.node.Started, Format: readmodel.Format,
	}, rows, nil
}

// closeQuietly closes a connection and only logs an error. The other side may have closed the connection while it was
// idle, and that must not fail a finished rebuild.
func (r *Replicator) closeQuietly(close func() error) {
	if err := close(); err != nil {
		r.log.Warn("a connection of the rebuild had been ended already", "error", err)
	}
}
