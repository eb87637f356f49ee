package project

import (
	"context"
	"errors"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// errTruncated asks for a rebuild: the stream names the emptied tables, not their rows.
var errTruncated = errors.New("a table of the read model was truncated")

// notTruncated fails with errTruncated if a table was truncated or rewritten after the snapshot that q reads:
// TRUNCATE is not MVCC-safe, so a copy made since then is empty although the snapshot is older (PostgreSQL
// documentation, chapter 13.6). Both give a table a new file; pg_class, read by SQL, is that of the snapshot,
// and pg_relation_filenode looks into the catalog as it is now. To be asked when everything is copied.
func notTruncated(ctx context.Context, q wal.Querier) error {
	var whole bool
	err := q.QueryRow(ctx, `SELECT bool_and(relfilenode = pg_relation_filenode(oid)) FROM pg_class
		WHERE oid IN ('public.bids'::regclass, 'public.raffles'::regclass, 'public.products'::regclass)`).Scan(&whole)
	if err != nil {
		return fmt.Errorf("files of the copied tables: %w", err)
	}
	if !whole {
		return fmt.Errorf("%w while it was copied", errTruncated)
	}
	return nil
}
