package raffle

import (
	"context"
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
		n, err := c.store.PruneKeys(ctx, time.Now().Add(-c.keep))
		if err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "keys not pruned", "error", err)
		}
		c.pruned.Add(float64(n))
		wait := keysIdle
		if n > 0 && err == nil {
			wait = keysPause
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// PruneKeys forgets some hundred idempotency keys of raffles closed before a time, and returns how many;
// 0: there are no more.
func (s *Store) PruneKeys(ctx context.Context, closedBefore time.Time) (n int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = s.prunes.Use(ctx, func(conn *pgx.Conn) error {
		q := writedb.New(conn)
		bids, err := q.PruneKeys(ctx, writedb.PruneKeysParams{Most: keysAtMost, ClosedBefore: closedBefore})
		if err != nil {
			return err
		}
		cancelled, err := q.PruneCancelledKeys(ctx, writedb.PruneCancelledKeysParams{Most: keysAtMost, ClosedBefore: closedBefore})
		n = bids + cancelled
		return err
	})
	if err != nil {
		return n, fmt.Errorf("prune keys: %w", err)
	}
	return n, nil
}
