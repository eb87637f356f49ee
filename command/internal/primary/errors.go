package primary

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

var (
	// ErrUnavailable means that nothing happened, and trying again may help.
	ErrUnavailable = errors.New("database not available")
	// ErrUnknownOutcome means that the commit was sent, but its answer was lost or can't be trusted. The transaction
	// may have been committed.
	ErrUnknownOutcome = errors.New("outcome of the commit unknown")
)

// Passing says whether an error is about the server's state or the connection, and not about the statement
// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
func Passing(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return true
	}
	switch pg.Class(e.Code) {
	case pg.ConnectionException, pg.TransactionRollback, pg.InsufficientResources, pg.OperatorIntervention, pg.SystemError:
		return true
	}
	return e.Code == pg.ReadOnlySQLTransaction || e.Code == pg.LockNotAvailable
}

// Divisible says whether the database refused the statement because of its content, so that a part of it may succeed:
// a conflict, a lock not granted, a statement that took too long, or bad data.
func Divisible(err error) bool {
	if errors.Is(err, ErrUnknownOutcome) {
		return false
	}
	switch pg.Class(pg.Code(err)) {
	case pg.DataException, pg.IntegrityConstraintViolation, pg.TransactionRollback, pg.NotInPrerequisiteState:
		return true
	}
	return pg.HasCode(err, pg.QueryCanceled) // by statement_timeout
}

// Classify wraps an error in ErrUnavailable if the database may carry out the same request later.
func Classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	if Passing(err) || transient(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// transient says whether the same transaction is likely to succeed if it is repeated at once.
func transient(err error) bool {
	if errors.Is(err, errNotBegun) {
		return true
	}
	if pg.Code(err) != "" && !errors.Is(err, ErrUnknownOutcome) {
		return pg.HasCode(err, pg.SerializationFailure, pg.DeadlockDetected, pg.UniqueViolation)
	}
	return pgconn.SafeToRetry(err) && !errors.Is(err, ErrUnavailable)
}

// moved says that the server no longer takes writes and has committed nothing. The transaction may succeed on another
// server.
func moved(err error) bool {
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrUnknownOutcome):
		return false
	case errors.Is(err, errNotBegun), errors.Is(err, errEnded):
		return true
	}
	return pg.HasCode(err, pg.ReadOnlySQLTransaction) || pg.Code(err) == "" && pgconn.SafeToRetry(err)
}

// lost says whether a connection was lost, or its server ended it. It is false if there was no connection.
func lost(err error) bool {
	var reported *pgconn.PgError
	if errors.Is(err, ErrUnavailable) {
		return false
	}
	if errors.As(err, &reported) {
		return fatal(reported)
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// conflict says whether the statement failed because of another one or took too long. The connection is still usable.
func conflict(e *pgconn.PgError) bool {
	return pg.Class(e.Code) == pg.TransactionRollback || e.Code == pg.LockNotAvailable || e.Code == pg.QueryCanceled
}

// fatal says whether the server ended the connection with this error. It may have broken down while it
// carried out the commit.
func fatal(e *pgconn.PgError) bool {
	return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}
