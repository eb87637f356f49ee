package primary

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
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
	switch e.Code {
	case "25006", "55P03": // read-only (a demoted primary), lock not available
		return true
	}
	switch class(e) {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, intervention, system
		return true
	}
	return false
}

// Divisible says whether the database refused the statement because of its content, so that a part of it may succeed:
// a conflict, a lock not granted, a statement that took too long, or bad data.
func Divisible(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) || errors.Is(err, ErrUnknownOutcome) {
		return false
	}
	switch class(e) {
	case "22", "23", "40", "55": // data, constraint, rollback, not in the needed state
		return true
	}
	return e.Code == "57014" // statement timeout
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
	var e *pgconn.PgError
	if errors.Is(err, errNotBegun) {
		return true
	}
	if errors.As(err, &e) && !errors.Is(err, ErrUnknownOutcome) {
		return e.Code == "40001" || e.Code == "40P01" || e.Code == "23505" // serialization, deadlock, duplicate
	}
	return pgconn.SafeToRetry(err) && !errors.Is(err, ErrUnavailable)
}

// conflict says whether the statement failed because of another one or took too long. The connection is still usable.
func conflict(e *pgconn.PgError) bool {
	return class(e) == "40" || e.Code == "55P03" || e.Code == "57014"
}

// fatal says whether the server ended the connection with this error. It may have broken down while it
// carried out the commit.
func fatal(e *pgconn.PgError) bool {
	return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}

func class(e *pgconn.PgError) string { return e.Code[:min(2, len(e.Code))] }
