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

// same fails if something else is published than when the session began.
func (s state) same(now wal.Published) error {
	if now.Fingerprint != s.published.Fingerprint {
		return wal.ErrPublicationChanged
	}
	return nil
}

// altered asks the primary what is published once a transaction is visible, on a connection of its own: this happens
// after a change of the schema only.
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

// watch keeps the lock's session alive, and looks every second at the slots, at what is published and at Redis.
func (s *session) watch(ctx context.Context) error {
	limit, err := wal.KeepLimit(ctx, s.control.conn)
	if err != nil {
		return err
	}
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

// consent answers a request: what goes on is given up only for a copy that has room.
func (s *session) consent(ctx context.Context, q request) error {
	m, err := s.memoryFor(ctx, s.control.conn)
	if err == nil {
		err = m.check(true, status.Requested)
	}
	q.answer <- err
	return err
}

// noticed notes how much WAL is kept for the slot that is used: that of a rebuild, which nobody reads until the
// copy is done, or that of the checkpoint.
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
