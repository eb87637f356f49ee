package wal

import (
	"context"
	"fmt"
	"time"
)

// ImportSnapshot makes the open transaction of a connection see an exported snapshot, and waits until its tables may be read.
// The server made the name, of hexadecimal digits and hyphens, so it needs no quoting.
//
// PostgreSQL 15 can export a snapshot too early. The server first flushes a commit to the WAL and then enters it into the
// commit log. The snapshot of a slot shows the commit after the first of these steps. A session that reads a row of the commit
// before the second step finds a transaction that is neither running nor committed. The session counts it as aborted and marks
// the row so. Nobody sees that row again, although the client got its answer to COMMIT.
//
// ImportSnapshot waits until each transaction that the snapshot shows has ended or waits for a synchronous standby. Both come
// after the second step.
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
