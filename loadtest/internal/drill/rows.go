package drill

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/reconcile"
)

const connectWait = 500 * time.Millisecond

// patiently repeats what needs the primary until it succeeds.
func patiently(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, recoverTime)
	defer cancel()
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		if sleep.For(ctx, connectWait) != nil {
			return err
		}
	}
}

// lastID is the highest id of a bid.
func lastID(ctx context.Context, url string) (id int64, err error) {
	err = patiently(ctx, func(ctx context.Context) (err error) {
		id, err = reconcile.LastID(ctx, url)
		return err
	})
	return id, err
}

// readRows returns every bid with an id above base.
func readRows(ctx context.Context, url string, base int64) (list []row, err error) {
	query := func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, "SELECT id, raffle_id, size, price, quantity, coalesce(idempotency_key, '') FROM bids WHERE id > $1", base)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (row, error) {
			var b row
			err := r.Scan(&b.ID, &b.Raffle, &b.Size, &b.Price, &b.Quantity, &b.key)
			return b, err
		})
		return err
	}
	err = patiently(ctx, func(ctx context.Context) error { return reconcile.OnPrimary(ctx, url, query) })
	return list, err
}
