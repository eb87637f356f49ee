package preflight

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
)

// What the replicator reads, and the functions that it calls.
var (
	tablesRead  = []string{"public.bids", "public.raffles", "public.products", "public.heartbeats", "public.timelines"}
	functions   = []string{"public.heartbeat", "public.timeline_branches", "wal.commits", "wal.committed"}
	initAgain   = "run \"sql init\" and \"sql migrate up\" of this release"
	rightsAgain = "GRANT it, or " + initAgain
)

// rights looks at the role of PRIMARY_URL. It says whether the role sees the transactions of other roles.
func (r *Report) rights(ctx context.Context, conn *pgx.Conn) (seesAll bool) {
	var role string
	var replicates, waits bool
	if r.failed("role", conn.QueryRow(ctx, readRole).Scan(&role, &replicates, &seesAll, &waits)) {
		return false
	}
	if replicates {
		r.ok("role", "%s may replicate", role)
	} else {
		r.add(Fail, "ALTER ROLE "+role+" REPLICATION", "role", "%s may not replicate", role)
	}
	switch {
	case seesAll:
		r.ok("statistics", "%s is in pg_read_all_stats", role)
	case waits:
		r.add(Fail, "GRANT pg_read_all_stats TO "+role, "statistics", "%s can't see what the synchronous standby has, so nothing would be applied", role)
	default:
		r.add(Warn, "GRANT pg_read_all_stats TO "+role, "statistics", "%s can't see which transactions a new slot waits for", role)
	}
	r.granted(ctx, conn, "tables", "SELECT", readable, tablesRead)
	r.granted(ctx, conn, "functions", "EXECUTE", callable, functions)
	return seesAll
}

// granted adds a line about the objects that a query, which is given all names, does not return.
func (r *Report) granted(ctx context.Context, conn *pgx.Conn, what, right, query string, names []string) {
	rows, err := conn.Query(ctx, query, names)
	var missing []string
	if err == nil {
		missing, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	switch {
	case r.failed(what, err):
	case len(missing) > 0:
		r.add(Fail, rightsAgain, what, "no %s on %s, or it does not exist", right, strings.Join(missing, ", "))
	default:
		r.ok(what, "%s on %s", right, strings.Join(names, ", "))
	}
}
