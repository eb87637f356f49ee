package wal

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P13: a replicator that is stopped for long keeps no lock, wherever it was stopped.
func TestAStoppedSessionLetsGoOfItsLocks_P13(t *testing.T) {
	for name, stop := range map[string]func(*pgx.Conn) error{
		"between two statements": func(conn *pgx.Conn) error {
			_, err := conn.Exec(context.Background(), "BEGIN; SELECT count(*) FROM bids")
			return err
		},
		"within a COPY": func(conn *pgx.Conn) error {
			conn.PgConn().Frontend().SendQuery(&pgproto3.Query{String: "COPY (SELECT repeat('x', 1000) FROM bids, generate_series(1, 100000)) TO STDOUT"})
			return conn.PgConn().Frontend().Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testenv.NewDatabase(t)
			admin, err := pgx.Connect(t.Context(), db.URL("postgres"))
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close(context.Background())
			if _, err := admin.Exec(t.Context(), "INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (1, 1, 270, 1, now())"); err != nil {
				t.Fatal(err)
			}
			limits := make(map[string]string)
			for name := range sessionLimits {
				limits[name] = "1000" // ms
			}
			conn, err := Open(t.Context(), db.URL("replicator"), limits)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = Close(conn) }) // the server has ended it
			if err := stop(conn); err != nil {
				t.Fatal(err)
			}
			testenv.Eventually(t, time.Minute, "the session has its lock", func() bool {
				var n int
				err := admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE relation = 'bids'::regclass AND pid = $1`, conn.PgConn().PID()).Scan(&n)
				return err == nil && n == 1
			})
			if _, err := admin.Exec(t.Context(), "SET lock_timeout = '60s'; TRUNCATE bids"); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("by default", func(t *testing.T) {
		conn, err := Open(t.Context(), testenv.NewDatabase(t).URL("replicator"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := Close(conn); err != nil {
				t.Error(err)
			}
		})
		for name, want := range sessionLimits {
			var got string
			if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, want %q: %v", name, got, want, err)
			}
		}
	})
}
