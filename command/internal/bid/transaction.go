package bid

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

const (
	// The statements count on seeing what was committed since the transaction began.
	begin  = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
	commit = "COMMIT"
	// A deadlock takes a second to be found, so more attempts would not fit into a request.
	attempts = 3
)

// step is a statement of a transaction and where its rows go.
type step struct {
	sql  string
	args []any
	read func(pgx.Rows) error
}

func rowsInto[T any](to *[]T, row pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectRows(rows, row)
		return err
	}
}

// transact runs the steps and the commit in one round trip and returns the position of the commit. Errors are ErrUnavailable, ErrUnknownOutcome or the database's own, each meaning that
// nothing was committed, ErrUnknownOutcome apart. Transient conflicts are tried again.
func transact(ctx context.Context, pool *pgxpool.Pool, steps ...step) (position string, err error) {
	for range attempts {
		err = withConn(ctx, pool, func(c *pgxpool.Conn) (err error) {
			position, err = transactOnce(ctx, c, steps)
			return err
		})
		if err == nil || !transient(err) || ctx.Err() != nil {
			break
		}
	}
	return position, classify(err)
}

func withConn(ctx context.Context, pool *pgxpool.Pool, do func(*pgxpool.Conn) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	// A connection that is left within a transaction, after a failed statement, is closed here.
	defer conn.Release()
	return do(conn)
}

func transactOnce(ctx context.Context, conn *pgxpool.Conn, steps []step) (string, error) {
	var batch pgx.Batch
	batch.Queue(begin)
	for _, s := range steps {
		batch.Queue(s.sql, s.args...)
	}
	batch.Queue(writedb.BeforeCommit)
	batch.Queue(commit)
	batch.Queue(writedb.CommitPosition)
	results := conn.SendBatch(ctx, &batch)
	committed, err := readSteps(results, steps)
	if err != nil {
		// Closing reports the same error again.
		_ = results.Close()
		return "", uncommitted(err)
	}
	var position string
	err = results.QueryRow().Scan(&position)
	if err = errors.Join(err, results.Close()); err != nil {
		return "", fmt.Errorf("%w: after %s: %w", ErrUnknownOutcome, committed, err)
	}
	return position, nil
}

// readSteps reads the answers up to that of the commit.
func readSteps(results pgx.BatchResults, steps []step) (pgconn.CommandTag, error) {
	if tag, err := results.Exec(); err != nil {
		return tag, err
	}
	for _, s := range steps {
		rows, err := results.Query()
		if err != nil {
			return pgconn.CommandTag{}, err
		}
		if err := s.read(rows); err != nil {
			return pgconn.CommandTag{}, err
		}
	}
	if tag, err := results.Exec(); err != nil { // BeforeCommit
		return tag, err
	}
	tag, err := results.Exec()
	// A COMMIT of a failed transaction succeeds as a ROLLBACK.
	if err == nil && tag.String() != commit {
		err = fmt.Errorf("%w: commit answered by %s", ErrUnavailable, tag)
	}
	return tag, err
}

// uncommitted tells apart the errors before the commit's answer. One that the server reports came
// instead of the commit; after any other, the commit may have been carried out.
func uncommitted(err error) error {
	var reported *pgconn.PgError
	if errors.As(err, &reported) || errors.Is(err, ErrUnavailable) || pgconn.SafeToRetry(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

// transient says whether the same transaction may well succeed at once.
func transient(err error) bool {
	var e *pgconn.PgError
	if errors.As(err, &e) && !errors.Is(err, ErrUnknownOutcome) {
		return e.Code == "40001" || e.Code == "40P01" || e.Code == "23505" // serialization, deadlock, duplicate
	}
	return pgconn.SafeToRetry(err) && !errors.Is(err, ErrUnavailable)
}

// divisible says whether the database refused this statement for what was in it, so that a part of it
// may succeed: a conflict, a lock not granted, a statement that took too long, or bad data.
func divisible(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || errors.Is(err, ErrUnknownOutcome) {
		return false
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "22", "23", "40", "55": // data, constraint, rollback, not in the needed state
		return true
	}
	return e.Code == "57014" // statement timeout
}

// classify turns what the database could not do for now into ErrUnavailable.
func classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	if primary.Passing(err) || transient(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
