package session

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// A logical slot does not survive a promotion (before PostgreSQL 17), and a slot that is made later lacks what was
// committed before it. But the promoted node makes a slot before it lets anybody write (wal.continue_stream). If the WAL
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
	searchMost = 64 << 20
)

// findSuccessor returns the slot of the system's timeline if its stream continues a checkpoint of an older timeline,
// otherwise nil.
func findSuccessor(ctx context.Context, q wal.Querier, s state, c readmodel.Checkpoint) (*wal.Slot, error) {
	slot := s.slot(wal.SlotName(uint64(s.system.Timeline)))
	left, isAncestor := s.history.Left(c.Timeline)
	switch {
	case slot == nil, slot.Lost, slot.ConfirmedLSN < left, !isAncestor:
		return nil, nil
	case c.Applying: // the rest of the transaction may be on no timeline
		return nil, nil
	case c.LSN > left && (c.Commit == 0 || c.Commit >= left): // Redis may hold a commit that the history lacks
		return nil, nil
	}
	none, err := noCommits(ctx, q, min(c.LSN, left), slot.ConfirmedLSN)
	if err != nil || !none {
		return nil, err
	}
	return slot, nil
}

// noCommits says whether no commit record begins between two positions. It returns false if that can't be found out.
func noCommits(ctx context.Context, q wal.Querier, after, upto lsn.LSN) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	if upto > after+searchMost {
		return false, nil
	}
	for after < upto {
		end := min(upto, after+searchPart)
		found, err := replicationdb.New(q).CommitsBetween(ctx, replicationdb.CommitsBetweenParams{After: after.String(), Upto: end.String()})
		if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) {
			return false, nil // the WAL is gone, or the database is from before there was wal.commits
		}
		if err != nil {
			return false, err
		}
		switch {
		case found.Commits > 0:
			return false, nil
		case found.Reached == "" && end == upto:
			return true, nil // no record ends there
		case found.Reached == "":
			return false, nil // a record is larger than a part
		}
		if after, err = lsn.Parse(found.Reached); err != nil {
			return false, err
		}
	}
	return true, nil
}

// continued is a checkpoint of a read model that a successor continues. As after a rebuild, no transaction of the slot has
// been applied yet.
func continued(c readmodel.Checkpoint, successor wal.Slot, timeline uint32) readmodel.Checkpoint {
	c.Timeline, c.Slot, c.LSN, c.Commit, c.CommitAt = timeline, successor.Name, successor.ConfirmedLSN, 0, 0
	return c
}
