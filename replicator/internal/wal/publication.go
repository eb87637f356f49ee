package wal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// ErrPublicationChanged says that the stream may lack rows (P11).
var ErrPublicationChanged = errors.New("the publication has changed")

// Published is what the primary publishes at one moment (P11).
type Published struct {
	// Fingerprint differs after every change of the publication, even a change that was undone. Rows that were written
	// while their table, or their kind of change, was not published are never sent.
	Fingerprint string
	// Complete says that every change of the three tables is published, with the whole old row.
	Complete bool
	// Tables are the names of the three tables by pg_class.oid. In the stream a table has the name that it had at each
	// change.
	Tables map[uint32]string
}

// ReadPublished reads what is published in the snapshot of q.
func ReadPublished(ctx context.Context, q Querier) (p Published, err error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	var oids []int64
	var names []string
	if err := q.QueryRow(ctx, fingerprint, Publication).Scan(&p.Fingerprint, &p.Complete, &oids, &names); err != nil {
		return p, fmt.Errorf("publication %s: %w", Publication, err)
	}
	p.Tables = make(map[uint32]string)
	for i, oid := range oids {
		p.Tables[uint32(oid)] = names[i]
	}
	return p, nil
}

// AwaitVisible waits until every new snapshot shows a transaction that the stream has sent. The stream sends what is
// flushed, and a commit becomes visible only after that; if a synchronous standby is away, not before the standby is
// back. The server releases the transaction's lock last, so the wait is for that lock.
func AwaitVisible(ctx context.Context, q Querier, xid uint32) error {
	for {
		var held bool
		err := q.QueryRow(ctx, isRunning, strconv.FormatUint(uint64(xid), 10)).Scan(&held)
		if err != nil {
			return fmt.Errorf("transaction %d, which the stream has sent, is not visible yet: %w", xid, err)
		}
		if !held {
			return nil
		}
		select {
		case <-time.After(visibleEvery):
		case <-ctx.Done():
			return fmt.Errorf("transaction %d, which the stream has sent, is not visible yet: %w", xid, context.Cause(ctx))
		}
	}
}

// visibleEvery is the pause between two looks. A commit is normally visible some microseconds after it is flushed.
const visibleEvery = 5 * time.Millisecond

// PublicationPrefix is the prefix of the logical message that the database writes in each transaction that may have
// changed the publication (sql/migrations, schema wal).
const PublicationPrefix = "pyramid.publication"

// Check returns an ErrShape if the stream would lack rows or kinds of change.
func (p Published) Check() error {
	if !p.Complete {
		return fmt.Errorf("%w: publication %s must carry every change of bids, raffles and products, each with REPLICA IDENTITY FULL",
			ErrShape, Publication)
	}
	return nil
}

// Fits says whether the stream calls a table by the name that the table has now. A table that was renamed for a while
// was sent under another name, and rows of another table may have been sent under its own.
func (p Published) Fits(r *Relation) bool {
	name, ours := p.Tables[r.ID]
	if ours {
		return name == r.Name
	}
	for _, name := range p.Tables {
		if name == r.Name {
			return false
		}
	}
	return true
}
