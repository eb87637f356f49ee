package session

import (
	"context"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// memory is what the primary's table of heartbeats and its WAL say about a checkpoint. If a database was restored, or a
// standby was promoted that lacked something, it lacks the last heartbeat that Redis holds or has another one with the
// same number (P10).
type memory struct {
	forgot bool // the table lacks the checkpoint's heartbeat, or the WAL lacks its last commit
	proven bool // the WAL has the last commit
	// later: a heartbeat after the checkpoint's was committed at or before the checkpoint's position, or nothing is
	// known because the checkpoint has no heartbeat. Then Redis may lack something, unless the stream proves that it
	// continues from there. A heartbeat records the position where it begins, and it begins after the commit of the one
	// before. So if the second heartbeat after the checkpoint's begins at or before a position, the first was committed
	// before that position.
	later bool
}

// remember reads the memory of a checkpoint. If the checkpoint's heartbeat is older than all in the table, it is taken
// to have been there.
func remember(ctx context.Context, q wal.Querier, c readmodel.Checkpoint) (m memory, err error) {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	committed, err := hasCommit(ctx, q, c)
	if err != nil || committed != nil && !*committed {
		return memory{forgot: true}, err
	}
	m.proven = committed != nil
	if c.Beat.Number == 0 {
		m.later = true
		return m, nil
	}
	beats, err := replicationdb.New(q).Remembers(ctx, replicationdb.RemembersParams{Number: c.Beat.Number, Nonce: c.Beat.Nonce, Held: c.LSN.String()})
	if pg.HasCode(err, pg.UndefinedTable) { // the database is from before there were heartbeats
		return memory{forgot: true}, nil
	}
	if err != nil {
		return m, fmt.Errorf("heartbeats: %w", err)
	}
	m.forgot, m.later = beats.Forgot, beats.Later
	return m, nil
}

// hasCommit says whether the primary's WAL has the last transaction of a checkpoint. It returns nil if that is not
// known, because the checkpoint has no transaction or the WAL is gone.
func hasCommit(ctx context.Context, q wal.Querier, c readmodel.Checkpoint) (committed *bool, err error) {
	if c.Commit == 0 {
		return nil, nil
	}
	has, err := replicationdb.New(q).HasCommit(ctx, replicationdb.HasCommitParams{Begins: c.Commit.String(), At: time.UnixMicro(c.CommitAt)})
	if pg.HasCode(err, pg.UndefinedFunction, pg.InvalidSchemaName) { // an older database
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("last commit: %w", err)
	}
	if known, ok := has.(bool); ok {
		return &known, nil
	}
	return nil, nil
}
