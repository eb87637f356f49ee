package project

import (
	"context"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// memory is what the primary's table of heartbeats says about a checkpoint. A database that was restored, or
// a standby that was promoted without having had everything, lacks the heartbeat that Redis saw last or has
// another one under its number (P10).
type memory struct {
	forgot bool // the heartbeat of the checkpoint is not in the table
	// later: a heartbeat after that of the checkpoint was begun at or before the checkpoint's position, or
	// nothing can be said because the checkpoint has no heartbeat. Then Redis may lack something, unless the
	// stream proves that it goes on from there.
	later bool
}

// remember asks for the memory of a checkpoint. A heartbeat that is older than the table goes back is believed.
func remember(ctx context.Context, q wal.Querier, c readmodel.Checkpoint) (m memory, err error) {
	if c.Beat.Number == 0 {
		return memory{later: true}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	err = q.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM heartbeats WHERE number = $1 AND nonce = $2)
			AND $1 >= coalesce((SELECT min(number) FROM heartbeats), 0),
		EXISTS (SELECT FROM heartbeats WHERE number > $1 AND lsn <= $3::text::pg_lsn)`,
		c.Beat.Number, c.Beat.Nonce, c.LSN.String()).Scan(&m.forgot, &m.later)
	if wal.HasCode(err, "42P01") { // undefined_table: from before there were heartbeats
		return memory{forgot: true}, nil
	}
	if err != nil {
		return m, fmt.Errorf("heartbeats: %w", err)
	}
	return m, nil
}
