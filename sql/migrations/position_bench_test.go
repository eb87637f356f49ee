package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// processorTime is how long a backend has run on a processor (Linux, Documentation/scheduler/sched-stats.rst).
func processorTime(b *testing.B, conn *pgx.Conn) (d time.Duration) {
	b.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", conn.PgConn().PID()))
	if err == nil {
		_, err = fmt.Sscan(string(raw), &d)
	}
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// commits commits a row of 300 bytes some 500 times a second, over as many connections as command has lanes.
func commits(b *testing.B, p *testenv.Postgres) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	const writers = 4
	for range writers {
		conn := connect(b, p.URL("postgres"))
		go func() {
			for {
				select {
				case <-ctx.Done():
					done <- nil
					return
				case <-time.After(8 * time.Millisecond):
				}
				if _, err := conn.Exec(context.Background(), "INSERT INTO filled VALUES (repeat('x', 300))"); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	b.Cleanup(func() {
		cancel()
		var err error
		for range writers {
			err = errors.Join(err, <-done)
		}
		if err != nil {
			b.Error(err)
		}
	})
}

// BenchmarkNodePosition compares what a position costs the server: the flush position, which proves nothing,
// node_position() as the services call it and as a caller without knowledge calls it, and the two lists of running
// transactions that another proof would need.
func BenchmarkNodePosition(b *testing.B) {
	p := testenv.StartPostgres(b)
	p.Exec(b, "CREATE TABLE filled (text text)")
	commits(b, p)
	var known string
	var started time.Time
	for _, c := range []struct{ name, sql string }{
		{"flush", "SELECT pg_current_wal_flush_lsn()::text, pg_postmaster_start_time() FROM heartbeats WHERE $1 <> '' AND $2 < now() ORDER BY number DESC LIMIT 1"},
		{"node", "SELECT lsn::text, started FROM node_position($1::text::pg_lsn, $2)"},
		{"node, nothing known", "SELECT lsn::text, started FROM node_position($1::text::pg_lsn, $2::timestamptz - interval '1 s')"},
		{"locks", `SELECT concat(pg_current_wal_flush_lsn(), array_agg(transactionid)), now() FROM pg_locks
			WHERE $1 <> '' AND $2 < now() AND locktype = 'transactionid' AND mode = 'ExclusiveLock'`},
		{"snapshot", "SELECT concat(pg_current_wal_flush_lsn(), pg_current_snapshot()), now() WHERE $1 <> '' AND $2 < now()"},
	} {
		b.Run(c.name, func(b *testing.B) {
			conn := connect(b, p.URL("postgres"))
			if _, err := conn.Exec(b.Context(), "SELECT heartbeat()"); err != nil {
				b.Fatal(err)
			}
			known = "0/0"
			before := processorTime(b, conn)
			for b.Loop() {
				if err := conn.QueryRow(b.Context(), c.sql, known, started).Scan(&known, &started); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b, conn)-before).Microseconds())/float64(b.N), "cpu-us/op")
		})
	}
}
