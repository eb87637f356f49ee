package paths

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const explainTime = 30 * time.Second

const columns = "raffle_id, id, user_id, size, price, quantity, created_at"

// raffleSQL and sizeSQL ask what the services ask. Adding 0 keeps every index out.
func raffleSQL(k key, scan bool) string {
	raffle, size := "raffle_id", "size"
	if scan {
		raffle, size = "raffle_id + 0", "size + 0"
	}
	return fmt.Sprintf("SELECT %s FROM bids WHERE %s = %d AND %s = %d ORDER BY created_at DESC, id DESC LIMIT 51", columns, raffle, k.raffle, size, k.size)
}

func sizeSQL(k key, scan bool) string {
	size := "size"
	if scan {
		size = "size + 0"
	}
	return fmt.Sprintf("SELECT %s FROM bids WHERE %s = %d ORDER BY created_at DESC, id DESC LIMIT 2001", columns, size, k.size)
}

// explain returns the plan of a lookup on the node that a path leads to; "" for Redis and unknown nodes. It
// uses the simple protocol, because pgpool-II routes a simple query by its text.
func (r *runner) explain(ctx context.Context, l lookup, path string) string {
	url := r.Databases[path]
	if url == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, explainTime)
	defer cancel()
	plan, err := explainAt(ctx, url, "EXPLAIN (ANALYZE, BUFFERS) "+l.sql(l.warm[0], path == Scan))
	if err != nil {
		return "no plan: " + err.Error()
	}
	return plan
}

func explainAt(ctx context.Context, url, sql string) (plan string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	rows, err := conn.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(lines, "\n"), err
}
