package snapshot

import (
	"context"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// notTruncated fails with projection.ErrTruncated if a table was truncated or rewritten after the snapshot that q
// reads. TRUNCATE is not MVCC-safe: a copy of the table that is made after it is empty, although the snapshot is older
// (PostgreSQL documentation, chapter 13.6). Both give a table a new file. SQL reads pg_class as it is in the snapshot,
// and pg_relation_filenode reads the catalog as it is now. So notTruncated must be called when everything is copied.
func notTruncated(ctx context.Context, q wal.Querier) error {
	var whole bool
	err := q.QueryRow(ctx, keepTheirFiles).Scan(&whole)
	if err != nil {
		return fmt.Errorf("files of the copied tables: %w", err)
	}
	if !whole {
		return fmt.Errorf("%w while it was copied", projection.ErrTruncated)
	}
	return nil
}
