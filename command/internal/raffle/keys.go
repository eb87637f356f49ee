package raffle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

const (
	keysAtMost = 500 // in one statement
	keysPause  = 200 * time.Millisecond
	keysIdle   = time.Minute
)

// prune forgets old keys, slowly: every one is an update of a bid and its way through the WAL.
func (c *Closer) prune(ctx context.Context) error {
	for {
		n, done, err := c.store.PruneKeys(ctx, time.Now().Add(-c.keep))
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "keys not pruned", "error", err)
		}
		c.pruned.Add(float64(n))
		wait := keysPause
		switch {
		case err != nil || done:
			wait = keysIdle
		case n == 0:
			wait = 0
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// PruneKeys forgets some hundred idempotency keys of one raffle closed before a time, or remembers that it
// has none. done says that no such raffle is left.
func (s *Store) PruneKeys(ctx context.Context, closedBefore time.Time) (n int64, done bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = s.prunes.Use(ctx, func(conn *pgx.Conn) error {
		q := writedb.New(conn)
		next, err := q.NextPrune(ctx, closedBefore)
		if errors.Is(err, pgx.ErrNoRows) {
			done = true
			return nil
		}
		if err != nil {
			return err
		}
		bids, err := q.PruneKeys(ctx, writedb.PruneKeysParams{RaffleID: next.ID, Most: keysAtMost})
		if err != nil {
			return err
		}
		cancelled, err := q.PruneCancelledKeys(ctx, writedb.PruneCancelledKeysParams{RaffleID: next.ID, Most: keysAtMost})
		if n = bids + cancelled; err != nil || n > 0 {
			return err
		}
		return q.MarkPruned(ctx, writedb.MarkPrunedParams{ClosedAt: next.ClosedAt, RaffleID: next.ID})
	})
	if err != nil {
		return n, false, fmt.Errorf("prune keys: %w", err)
	}
	return n, done, nil
}
