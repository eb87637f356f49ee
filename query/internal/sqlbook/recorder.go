package sqlbook

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// statement runs exactly one generated query and keeps its result. It is run twice: to record the
// query for the batch, and to read its result.
type statement func(*readdb.Queries) error

// recorder is a readdb.DBTX that only queues the queries that it gets.
type recorder struct{ batch pgx.Batch }

var errRecorded = errors.New("recorded")

func (r *recorder) add(sql string, args []any) { r.batch.Queue(withoutComment(sql), args...) }

// record makes one batch of the statements. PostgreSQL runs it in one implicit transaction, which ends with the batch. An
// explicit BEGIN and COMMIT would cost as much as the lookup, because pgpool-II sends them to the primary as well.
func record(statements []statement) (*pgx.Batch, error) {
	var r recorder
	for _, s := range statements {
		if err := s(readdb.New(&r)); !errors.Is(err, errRecorded) {
			return nil, fmt.Errorf("statement not recorded: %w", err)
		}
	}
	return &r.batch, nil
}

// Exec records a statement.
func (r *recorder) Exec(_ context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	r.add(sql, args)
	return pgconn.CommandTag{}, errRecorded
}

// Query records a statement.
func (r *recorder) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	r.add(sql, args)
	return nil, errRecorded
}

// QueryRow records a statement.
func (r *recorder) QueryRow(_ context.Context, sql string, args ...any) pgx.Row {
	r.add(sql, args)
	return recordedRow{}
}

type recordedRow struct{}

func (recordedRow) Scan(...any) error { return errRecorded }

// player is a readdb.DBTX that gives the results of a batch, in the order in which it was recorded.
type player struct{ results pgx.BatchResults }

// Exec takes the next result.
func (p player) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	return p.results.Exec()
}

// Query takes the next result.
func (p player) Query(context.Context, string, ...any) (pgx.Rows, error) { return p.results.Query() }

// QueryRow takes the next result.
func (p player) QueryRow(context.Context, string, ...any) pgx.Row { return p.results.QueryRow() }

// withoutComment cuts the "-- name:" line that generated queries begin with: pgpool-II sends a SELECT
// behind a comment to the primary.
func withoutComment(sql string) string {
	if strings.HasPrefix(sql, "--") {
		_, sql, _ = strings.Cut(sql, "\n")
	}
	return sql
}
