package primary

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// Passing says whether an error speaks of the server's state, or of the way to it, and not of the
// statement (https://www.postgresql.org/docs/15/errcodes-appendix.html).
func Passing(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return true
	}
	switch e.Code {
	case "25006", "55P03": // read-only (a demoted primary), lock not available
		return true
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, intervention, system
		return true
	}
	return false
}
