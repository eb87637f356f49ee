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

// memory is what the primary's table of heartbeats says about a checkpoint. A database that was restored, or
// a standby that was promoted without having had everything, lacks the heartbeat that Redis saw last or has
// another one under its number (P10).
type memory struct {
	forgot bool // the heartbeat of the checkpoint is not in the table, or its last commit not in the WAL
	proven bool // the last commit is in the WAL
	// later: a heartbeat after the checkpoint's was committed at or before the checkpoint's position, or nothing
	// can be said because the checkpoint has no heartbeat. Then Redis may lack something, unless the stream
	// proves that it goes on from there. A heartbeat has the position of its beginning, and each begins after
	// the commit of the one before: so the second one after the checkpoint's tells that the first was committed.
	later bool
}

// remember asks for the memory of a checkpoint. A heartbeat that is older than the table goes back is believed.
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
	if pg.HasCode(err, pg.UndefinedTable) { // from before there were heartbeats
		return memory{forgot: true}, nil
	}
	if err != nil {
		return m, fmt.Errorf("heartbeats: %w", err)
	}
	m.forgot, m.later = beats.Forgot, beats.Later
	return m, nil
}

// hasCommit says whether the primary's WAL has the last transaction of a checkpoint. WAL that is gone says nothing,
// and neither does a checkpoint without a transaction; then it returns nil.
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
