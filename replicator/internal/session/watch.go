package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// same fails if the publication is not that of the beginning of the session.
func (s state) same(now wal.Published) error {
	if now.Fingerprint != s.published.Fingerprint {
		return wal.ErrPublicationChanged
	}
	return nil
}

// altered waits until a transaction is visible and fails if the publication has changed. It opens a connection of its
// own, because this happens only after a change of the schema.
func (s state) altered(ctx context.Context, xid uint32) error {
	ctx, cancel := context.WithTimeout(ctx, setUpTime)
	defer cancel()
	conn, err := s.node.Open(ctx, map[string]string{"application_name": "replicator-publication"})
	if err != nil {
		return err
	}
	err = wal.AwaitVisible(ctx, conn, xid)
	var published wal.Published
	if err == nil {
		published, err = wal.ReadPublished(ctx, conn)
	}
	if err = errors.Join(err, wal.Close(conn)); err != nil {
		return err
	}
	return s.same(published)
}

// watch keeps the lock's session alive. Every second it checks the publication, the slots and Redis, and it takes
// requests of operators.
func (s *session) watch(ctx context.Context) error {
	limit, err := wal.KeepLimit(ctx, s.control.conn)
	if err != nil {
		return err
	}
	s.board.Update(func(now *status.Status) { now.LimitBytes = limit })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		p, err := s.control.tick(ctx)
		if err != nil {
			return err
		}
		if err := s.state.same(p.published); err != nil {
			return err
		}
		if err := s.noticed(p, limit); err != nil {
			return err
		}
		if err := s.evictsNothing(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case q := <-s.requests:
			if err := s.consent(ctx, q); err == nil {
				return &requestError{q}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// consent answers a request. It refuses a rebuild that does not fit beside the served epoch, because the stream that
// runs is given up for it.
func (s *session) consent(ctx context.Context, q request) error {
	m, err := s.memoryFor(ctx, s.control.conn)
	if err == nil {
		err = m.check(true, status.Requested)
	}
	q.answer <- err
	return err
}

// noticed notes how much WAL the server keeps for the slot in use. During a rebuild that is the new slot, which nobody
// reads until the copy is done; otherwise it is the slot of the checkpoint. It fails if the slot of a rebuild is lost.
func (r *Replicator) noticed(p positions, limit int64) error {
	slot, rebuilding := r.board.Slot(p.flushed)
	for _, s := range p.slots {
		if s.Name != slot {
			continue
		}
		r.board.Update(func(now *status.Status) { now.RetainedBytes = s.RetainedBytes })
		r.board.Metrics.Retained.Set(float64(s.RetainedBytes))
		if rebuilding && s.Lost {
			return fmt.Errorf("rebuild: slot %s: %w", s.Name, snapshot.ErrSlotLost)
		}
		if rebuilding && limit > 0 && s.RetainedBytes > limit/2 && r.board.WarnOnce() {
			r.log.Warn("the rebuild has used more than half of what the server keeps for a slot: it fails if it uses all",
				"slot", s.Name, "retained_bytes", s.RetainedBytes, "max_slot_wal_keep_size", limit)
		}
	}
	return nil
}
