package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// A logical slot does not survive a promotion (before PostgreSQL 17), and a slot that is made later lacks what was
// committed before it. But the promoted node makes a slot of the unnamed pipeline before it lets anybody write
// (wal.continue_stream). A named pipeline is rebuilt after a promotion. If the WAL
// then has no commit between what Redis holds and the beginning of that slot, the slot's stream continues the read model,
// and nothing need be copied. After a switchover this is the usual case, because the old primary ends only when it has sent
// everything. After a failure Redis may lack commits or have too many, and then it is rebuilt.

// openingTime is how long a promoted node may take until it has made its slot and lets others write.
const openingTime = 3 * time.Second

// awaitOpening waits, openingTime at most, until a node that was promoted since the checkpoint takes writes.
func (s *session) awaitOpening(ctx context.Context, found state) error {
	cp := found.checkpoint()
	if cp == nil || cp.SystemID != found.system.ID || cp.Timeline >= found.system.Timeline {
		return nil
	}
	for end := time.Now().Add(openingTime); ; {
		now, err := s.control.node.Identify(ctx, s.control.conn)
		if err != nil || !now.Closed || time.Now().After(end) {
			return err
		}
		if err := sleep.For(ctx, openingTime/100); err != nil {
			return err
		}
	}
}

// How much WAL is searched for commits, in bytes: at once (4 MB take some 25 ms) and in all.
const (
	searchPart = 4 << 20
	searchMost = 16 << 20
)

// findSuccessor returns the slot of the system's timeline if its stream continues a checkpoint of an older timeline,
// otherwise nil. The WAL must have the last commit of the checkpoint. The new slot's stream begins later and can't prove it.
func (s *session) findSuccessor(ctx context.Context, found state, c readmodel.Checkpoint) (*wal.Slot, error) {
	slot := found.slot(s.pipeline.SlotName(uint64(found.system.Timeline)))
	left, isAncestor := found.history.Left(c.Timeline)
	switch {
	case slot == nil, slot.Lost, slot.ConfirmedLSN < left, !isAncestor, !found.memory.proven:
		return nil, nil
	case c.Applying: // the rest of the transaction may be on no timeline
		return nil, nil
	case c.LSN > left && c.Commit >= left: // Redis holds a commit that the history lacks
		return nil, nil
	}
	none, err := noCommits(ctx, s.control.conn, min(c.LSN, left), slot.ConfirmedLSN)
	if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) {
		s.log.Warn("the WAL does not say whether the new slot continues the read model", "slot", slot.Name, "error", err)
		return nil, nil
	}
	if err != nil || !none {
		return nil, err
	}
	return slot, nil
}

// noCommits says whether no commit record begins between two positions. It returns false if that would take long to find out.
func noCommits(ctx context.Context, q wal.Querier, after, upto lsn.LSN) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	if upto > after+searchMost {
		return false, nil
	}
	for after < upto {
		end := min(upto, after+searchPart)
		found, err := replicationdb.New(q).CommitsBetween(ctx, replicationdb.CommitsBetweenParams{After: after.String(), Upto: end.String()})
		switch {
		case err != nil:
			return false, err
		case found.Commits > 0:
			return false, nil
		case found.Reached == "": // no record ends there; before the last part, one is larger than a part
			return end == upto, nil
		}
		if after, err = lsn.Parse(found.Reached); err != nil {
			return false, err
		}
	}
	return true, nil
}

// errOtherSlot ends a session whose slot was made anew since it was looked at.
var errOtherSlot = errors.New("the slot was made anew and lacks what was committed meanwhile")

// sameSlot fails if the slot, which this session now holds, begins behind what Redis has. Of a checkpoint with a commit the
// stream proves that by itself.
func (s *session) sameSlot(ctx context.Context, cp readmodel.Checkpoint) error {
	if cp.Commit != 0 {
		return nil
	}
	conn, err := s.control.node.Open(ctx, nil) // the watch uses the other connection
	if err != nil {
		return err
	}
	defer wal.Close(conn)
	slots, err := wal.Slots(ctx, conn)
	if err != nil {
		return err
	}
	if slot := (state{slots: slots}).slot(cp.Slot); slot == nil || slot.ConfirmedLSN > cp.LSN {
		return fmt.Errorf("%w: %s, Redis holds everything up to %s", errOtherSlot, cp.Slot, cp.LSN)
	}
	return nil
}

// continued is a checkpoint of a read model that a successor continues. As after a rebuild, no transaction of the slot has
// been applied yet.
func continued(c readmodel.Checkpoint, successor wal.Slot, timeline uint32) readmodel.Checkpoint {
	c.Timeline, c.Slot, c.LSN, c.Commit, c.CommitAt = timeline, successor.Name, successor.ConfirmedLSN, 0, 0
	return c
}
