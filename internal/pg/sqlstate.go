package pg

import (
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATEs by their names in the appendix of the PostgreSQL documentation
// (https://www.postgresql.org/docs/15/errcodes-appendix.html).
const (
	UniqueViolation              = "23505"
	ReadOnlySQLTransaction       = "25006" // also of a primary that was demoted
	InvalidSchemaName            = "3F000"
	SerializationFailure         = "40001"
	DeadlockDetected             = "40P01"
	UndefinedObject              = "42704"
	DuplicateObject              = "42710"
	UndefinedFunction            = "42883"
	UndefinedTable               = "42P01"
	DuplicateDatabase            = "42P04"
	TooManyConnections           = "53300"
	ConfigurationLimitExceeded   = "53400"
	ObjectNotInPrerequisiteState = "55000"
	LockNotAvailable             = "55P03"
	QueryCanceled                = "57014" // also of a statement that took longer than statement_timeout
	CannotConnectNow             = "57P03" // the server starts or stops
)

// Classes of SQLSTATEs: the first two characters.
const (
	Warning                      = "01"
	ConnectionException          = "08"
	DataException                = "22"
	IntegrityConstraintViolation = "23"
	TransactionRollback          = "40"
	InsufficientResources        = "53"
	NotInPrerequisiteState       = "55"
	OperatorIntervention         = "57"
	SystemError                  = "58"
)

// Class is the class of a SQLSTATE.
func Class(code string) string { return code[:min(2, len(code))] }

// Code is the SQLSTATE of a server's error; "" of any other error.
func Code(err error) string {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// HasCode says whether an error is a server's error with one of these SQLSTATEs.
func HasCode(err error, codes ...string) bool {
	return slices.Contains(codes, Code(err)) && Code(err) != ""
}
