package paths

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/sql/queries"
)

const explainTime = 30 * time.Second

// customPlans is how often PostgreSQL plans a prepared statement for its parameters, before it decides whether one plan
// serves all of them. A scan is asked for so seldom that a connection does not come so far.
const customPlans = 5

// explain returns the plan of a lookup on the node that a path leads to; "" for Redis and unknown nodes.
func (r *runner) explain(ctx context.Context, l lookup, path string) string {
	url := r.Databases[path]
	if url == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	statement, earlier := l.statement, customPlans
	if path == Scan {
		statement, earlier = "Scan"+statement, 0
	}
	plan, err := explainAt(ctx, url, queries.Read(statement), l.parameters(l.warm[0]), earlier)
	if err != nil {
		return "no plan: " + err.Error()
	}
	return plan
}

// explainAt prepares the statement as the services do, and returns the plan that their connections use once they
// have asked a few times.
func explainAt(ctx context.Context, url, statement, parameters string, earlier int) (plan string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "PREPARE lookup AS "+statement); err != nil {
		return "", err
	}
	execute := "EXECUTE lookup(" + parameters + ")"
	for range earlier {
		if _, err := conn.Exec(ctx, "EXPLAIN "+execute); err != nil {
			return "", err
		}
	}
	rows, err := conn.Query(ctx, "EXPLAIN (ANALYZE, BUFFERS) "+execute, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}

// firstPage are the parameters of a list from its beginning, as a service gives them: the keyset after which it begins, and
// one row more than it shows.
func firstPage(limit int) string {
	return fmt.Sprintf("'%s', %d, %d", time.UnixMicro(math.MaxInt64).UTC().Format("2006-01-02 15:04:05.999999Z07"), math.MaxInt64, limit+1)
}
