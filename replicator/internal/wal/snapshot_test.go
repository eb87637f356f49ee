package wal

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P4: a snapshot is not read while a commit that it shows is under way, because such a read can make the server lose the row.
// Here the commit waits for a standby, which a role that may not see this takes for such a commit.
func TestASnapshotIsReadOnceItsCommitsHaveEnded_P4(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t)
	open := func(sql ...string) *pgx.Conn {
		conn, err := pgx.Connect(t.Context(), p.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) }) // one may have been given up
		run(t, conn, sql...)
		return conn
	}
	run(t, open(), "CREATE TABLE committed (x int)", "CREATE ROLE blind", "GRANT SELECT ON committed TO replicator, blind")
	p.SetSynchronous(t, "nobody")
	first := open("SET synchronous_commit = local", "BEGIN", "SELECT pg_current_xact_id()")
	second := open("SET synchronous_commit = local")
	made := make(chan Snapshot, 1)
	go func() {
		stream, snapshot, err := Temporary(t.Context(), p.URL("replicator"))
		if err != nil {
			t.Error(err)
		} else {
			t.Cleanup(stream.Close) // the snapshot lasts as long as the stream
		}
		made <- snapshot
	}()
	watch := open()
	waits := func(what, condition string) {
		testenv.Eventually(t, 20*time.Second, what, func() bool {
			var is bool
			return watch.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE "+condition+")").Scan(&is) == nil && is
		})
	}
	forTransactionOf := func(conn *pgx.Conn) string {
		return "application_name = 'replicator-verify' AND pg_blocking_pids(pid) = ARRAY[" + strconv.Itoa(int(conn.PgConn().PID())) + "]"
	}
	waits("the slot waits for the first transaction", forTransactionOf(first))
	run(t, second, "BEGIN", "SELECT pg_current_xact_id()")
	run(t, first, "COMMIT")
	waits("the slot waits for the second transaction", forTransactionOf(second))
	third, committed := open("BEGIN", "INSERT INTO committed VALUES (1)"), make(chan error, 1)
	go func() { _, err := third.Exec(t.Context(), "COMMIT"); committed <- err }()
	waits("the third transaction commits", "wait_event = 'SyncRep'")
	run(t, second, "COMMIT")
	snapshot := <-made
	read := func(ctx context.Context, role string) (n int, err error) {
		conn := open("SET ROLE "+role, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		if err := ImportSnapshot(ctx, conn, snapshot.Name); err != nil {
			return 0, err
		}
		return n, conn.QueryRow(ctx, "SELECT count(*) FROM committed").Scan(&n)
	}
	early, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	if n, err := read(early, "blind"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d rows were read while their commit was under way: %v", n, err)
	}
	if n, err := read(t.Context(), "replicator"); n != 1 || err != nil {
		t.Errorf("while the commit waits for a standby: %d rows, %v", n, err)
	}
	p.SetSynchronous(t, "")
	if n, err := read(t.Context(), "blind"); n != 1 || err != nil {
		t.Errorf("afterwards: %d rows, %v", n, err)
	}
	if err := <-committed; err != nil {
		t.Error(err)
	}
}

func run(t *testing.T, conn *pgx.Conn, sql ...string) {
	t.Helper()
	for _, one := range sql {
		if _, err := conn.Exec(t.Context(), one); err != nil {
			t.Fatalf("%s: %v", one, err)
		}
	}
}
