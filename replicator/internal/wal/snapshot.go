package wal

import (
	"context"
	"fmt"
	"time"
)

// ImportSnapshot makes the open transaction of a connection see an exported snapshot, and waits until its tables may be read.
// The server made the name, of hexadecimal digits and hyphens, so it needs no quoting.
//
// PostgreSQL 15 can export a snapshot too early. The snapshot of a slot shows each commit that the WAL has, but the server
// enters a commit into its commit log only after the WAL is flushed. Whoever reads a row between the two takes its
// transaction for one that was aborted, and notes that in the row. The row is then lost for everybody, although its commit
// was acknowledged. So nothing is read before all transactions that the snapshot shows have ended, or wait for a synchronous
// standby, which comes after the entry.
func ImportSnapshot(ctx context.Context, q Querier, name string) error {
	if _, err := q.Exec(ctx, fmt.Sprintf(importSnapshot, name)); err != nil {
		return fmt.Errorf("snapshot %s: %w", name, err)
	}
	for {
		var unsettled int64
		if err := q.QueryRow(ctx, countUnsettled).Scan(&unsettled); err != nil {
			return fmt.Errorf("snapshot %s: do its commits last? %w", name, err)
		}
		if unsettled == 0 {
			return nil
		}
		select {
		case <-time.After(visibleEvery):
		case <-ctx.Done():
			return fmt.Errorf("snapshot %s: %d commits have not ended: %w", name, unsettled, context.Cause(ctx))
		}
	}
}
