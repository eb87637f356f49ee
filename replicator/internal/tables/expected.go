package tables

import (
	"context"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Expected returns the planner's estimates of the numbers of rows, by Table.
func Expected(ctx context.Context, q wal.Querier) (rows [Products + 1]int64, err error) {
	err = q.QueryRow(ctx, expectedRows).Scan(&rows[Bids], &rows[Raffles], &rows[Products])
	if err != nil {
		return rows, fmt.Errorf("expected rows: %w", err)
	}
	return rows, nil
}
