package primary

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

const (
	// READ COMMITTED, because each statement must see what was committed since the transaction began. It does not say
	// READ WRITE, which would override default_transaction_read_only, by which a deposed primary is closed.
	begin  = "BEGIN ISOLATION LEVEL READ COMMITTED"
	commit = "COMMIT"
	// A deadlock takes a second to be found, so more attempts would not fit into a request.
	attempts = 3
)

// Step is a statement of a transaction. Read reads its rows; if Read is nil, they are dropped.
type Step struct {
	SQL  string
	Args []any
	Read func(pgx.Rows) error
}

// RowsInto collects the rows of a step.
func RowsInto[T any](to *[]T, row pgx.RowToFunc[T]) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*to, err = pgx.CollectRows(rows, row)
		return err
	}
}

// Transact runs the steps and the commit in one round trip, so that the transaction never holds its locks while it
// waits for this service. It returns a position at or past the commit's end, T-X/X. Transient conflicts are tried
// again, and so is a transaction that surely was not committed because its server was closed or stopped. After
// ErrUnavailable or an error of the database, nothing was committed. After ErrUnknownOutcome, the transaction may have
// been committed. If the context has a span, the transaction has one, too, and tells it in the WAL, so that the
// replicator goes on with the trace.
func (c *Conns) Transact(ctx context.Context, steps ...Step) (position string, err error) {
	ctx, span := tracing.Start(ctx, "transaction")
	if !span.On() {
		return c.transact(ctx, steps)
	}
	defer span.End()
	if !c.private {
		steps = append(slices.Clone(steps), Step{SQL: writedb.NoteTrace, Args: []any{span.Parent()}})
	}
	position, err = c.transact(ctx, steps)
	span.Text("db.system.name", "postgresql")
	span.Text(tracing.LSN, position)
	span.Fail(err)
	return position, err
}

func (c *Conns) transact(ctx context.Context, steps []Step) (position string, err error) {
	for began, attempt := time.Now(), 1; ; attempt++ {
		err = c.Use(ctx, func(conn *pgx.Conn) (err error) {
			position, err = transactOnce(ctx, conn, steps)
			return err
		})
		switch {
		case err == nil || ctx.Err() != nil:
			return position, Classify(err)
		case transient(err) && attempt < attempts:
		case moved(err) && time.Since(began) < patience && sleep.For(ctx, lookAgain) == nil:
		default:
			return position, Classify(err)
		}
	}
}

func transactOnce(ctx context.Context, conn *pgx.Conn, steps []Step) (string, error) {
	var batch pgx.Batch
	batch.Queue(begin)
	for _, s := range steps {
		batch.Queue(s.SQL, s.Args...)
	}
	batch.Queue(writedb.BeforeCommit)
	batch.Queue(commit)
	batch.Queue(writedb.CommitPosition)
	results := conn.SendBatch(ctx, &batch)
	err := readSteps(results, steps)
	if err != nil {
		err = beforeCommit(err)
	} else if err = readCommit(conn, results); err != nil {
		err = uncommitted(err)
	} else {
		tracing.Of(ctx).Event("committed")
	}
	if err != nil {
		// Closing reports the same error again.
		_ = results.Close()
		return "", err
	}
	var position string
	err = results.QueryRow().Scan(&position)
	if err = errors.Join(err, results.Close()); err != nil {
		return "", fmt.Errorf("%w: after the commit: %w", ErrUnknownOutcome, err)
	}
	return position, nil
}

// readSteps reads the answers that come before the commit's.
func readSteps(results pgx.BatchResults, steps []Step) error {
	if _, err := results.Exec(); err != nil {
		return notBegun(err)
	}
	for _, s := range steps {
		if s.Read == nil {
			if _, err := results.Exec(); err != nil {
				return err
			}
			continue
		}
		rows, err := results.Query()
		if err != nil {
			return err
		}
		if err := s.Read(rows); err != nil {
			return err
		}
	}
	_, err := results.Exec() // BeforeCommit
	return err
}

// errNotBegun: the server has refused or ended the connection before the transaction began.
var errNotBegun = errors.New("transaction not begun")

// notBegun marks an error that the server reported in place of the answer to BEGIN, for example because it had ended
// the idle connection. BEGIN is answered first, so without that answer no statement ran.
func notBegun(err error) error {
	if pg.Code(err) != "" {
		return fmt.Errorf("%w: %w", errNotBegun, err)
	}
	return err
}

// readCommit reads the commit's answer. A warning in it means that the wait for the synchronous standby was
// cancelled. The transaction is then committed on this server only and may be lost with it.
func readCommit(conn *pgx.Conn, results pgx.BatchResults) error {
	notes := conn.PgConn().CustomData()
	delete(notes, warning)
	tag, err := results.Exec()
	if err != nil {
		return err
	}
	if text, warned := notes[warning]; warned {
		return fmt.Errorf("%w: commit answered with a warning: %v", ErrUnknownOutcome, text)
	}
	if tag.String() != commit { // a COMMIT of a failed transaction succeeds as a ROLLBACK
		return fmt.Errorf("%w: commit answered by %s", ErrUnavailable, tag)
	}
	return nil
}

// errEnded: the server has ended the connection before the commit.
var errEnded = errors.New("ended before the commit")

// beforeCommit classifies an error that came in place of the answer to a step. The server carries out one statement
// after the other and answers in that order. So if it reported the error, even one that ended the connection, it had
// not begun the commit.
func beforeCommit(err error) error {
	var reported *pgconn.PgError
	if errors.As(err, &reported) && fatal(reported) && !errors.Is(err, errNotBegun) {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return uncommitted(err)
}

// uncommitted classifies an error that came before the commit's answer. If the server reported the error without
// ending the connection, nothing was committed. If the connection was lost after the request was sent, the commit may
// have been carried out.
func uncommitted(err error) error {
	var reported *pgconn.PgError
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrUnknownOutcome), errors.Is(err, errNotBegun), pgconn.SafeToRetry(err):
		return err
	case errors.As(err, &reported) && !fatal(reported):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

// Affected counts the rows that a step changed.
func Affected(to *int64) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		rows.Close()
		*to = rows.CommandTag().RowsAffected()
		return rows.Err()
	}
}
