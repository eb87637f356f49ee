package wal

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Standbys asks a primary about its synchronous standbys, over a connection of its own.
type Standbys struct{ conn *pgx.Conn }

// NewStandbys takes over a connection to a primary. Its role must be a member of pg_read_all_stats.
func NewStandbys(conn *pgx.Conn) *Standbys { return &Standbys{conn} }

// Close closes the connection.
func (s *Standbys) Close() error { return Close(s.conn) }

// Flushed is how far the log of a primary is flushed.
type Flushed struct {
	Awaited  bool // commits wait for standbys
	Standbys LSN  // as many standbys as a commit waits for have flushed this; 0: too few are connected
	Primary  LSN  // the primary has flushed this
}

// Ask asks how far the log is flushed.
func (s *Standbys) Ask(ctx context.Context) (f Flushed, err error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	var standbys, primary int64
	if err := s.conn.QueryRow(ctx, askFlushed).Scan(&f.Awaited, &standbys, &primary); err != nil {
		return f, fmt.Errorf("synchronous standbys: %w", err)
	}
	f.Standbys, f.Primary = LSN(standbys), LSN(primary)
	return f, nil
}
