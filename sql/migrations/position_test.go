package migrations_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// node is an answer of node_position() and the number of rows of the test's table that a later statement sees.
type node struct {
	at      lsn.Position
	flushed lsn.LSN
	standby bool
	beat    int64
	started time.Time
	rows    int
}

// ask calls node_position() with what an earlier answer said.
func ask(t testing.TB, conn *pgx.Conn, known node) (n node) {
	t.Helper()
	var at, flushed string
	const sql = "SELECT timeline, lsn::text, flushed::text, standby, number, started FROM node_position($1::text::pg_lsn, $2)"
	err := conn.QueryRow(t.Context(), sql, known.at.LSN.String(), known.started).Scan(&n.at.Timeline, &at, &flushed, &n.standby, &n.beat, &n.started)
	if err == nil {
		n.at.LSN, err = lsn.Parse(at)
	}
	if err == nil {
		n.flushed, err = lsn.Parse(flushed)
	}
	if err == nil {
		err = conn.QueryRow(t.Context(), "SELECT count(*) FROM seen").Scan(&n.rows)
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// whole says that the position is the end of the last whole record that is flushed. What nobody waits for is flushed in
// whole pages of 8 KB, so the flush position may be the end of a page in the middle of a record.
func (n node) whole() bool {
	rest := n.flushed - n.at.LSN
	return rest == 0 || n.flushed%8192 == 0 && rest < 8192
}

const seenTable = "CREATE TABLE seen (id int); GRANT SELECT, INSERT ON seen TO query, command, migrator"

func exec(t testing.TB, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func text(t testing.TB, conn *pgx.Conn, sql string) (value string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), sql).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// A commit that waits for its standby is flushed but not visible. The position stays before that commit, whatever is
// flushed after it, so that everything up to the position is visible.
func TestNodePositionStaysBeforeACommitThatWaits_R7(t *testing.T) {
	p := testenv.StartPostgres(t, testenv.Set("max_prepared_transactions", "2"))
	s := p.StartStandby(t, testenv.Set("max_prepared_transactions", "2"))
	p.Exec(t, seenTable)
	super, reader, local := connect(t, p.URL("postgres")), connect(t, p.URL("query")), connect(t, p.URL("postgres"))
	exec(t, local, "SET synchronous_commit = local")
	rows := 0
	for name, c := range map[string]struct{ before, commit string }{
		"plain":           {"BEGIN; INSERT INTO seen VALUES (1)", "COMMIT"},
		"subtransactions": {"BEGIN; INSERT INTO seen VALUES (1); SAVEPOINT a; INSERT INTO seen VALUES (2); SAVEPOINT b; INSERT INTO seen VALUES (3)", "COMMIT"},
		"sub alone":       {"BEGIN; SAVEPOINT a; INSERT INTO seen VALUES (1); RELEASE a", "COMMIT"},
		"prepared":        {"BEGIN; INSERT INTO seen VALUES (1); SAVEPOINT a; INSERT INTO seen VALUES (2); PREPARE TRANSACTION 'x'", "COMMIT PREPARED 'x'"},
	} {
		p.SetSynchronous(t, "")
		writer := connect(t, p.URL("postgres"))
		exec(t, writer, c.before)
		exec(t, local, "INSERT INTO seen VALUES (0)") // a transaction id above those that are about to commit
		rows++
		before := ask(t, reader, node{})
		if before.at.LSN != before.flushed || before.rows != rows || before.standby || before.at.Timeline != 1 {
			t.Fatalf("%s: %+v while a transaction is open, want %d rows", name, before, rows)
		}
		p.SetSynchronous(t, testenv.StandbyName)
		s.Pause(t)
		done := make(chan error, 1)
		go func() {
			_, err := writer.Exec(context.Background(), c.commit)
			done <- err
		}()
		testenv.Eventually(t, 10*time.Second, "the commit waits", func() bool {
			return text(t, super, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
		})
		waiting := before
		for i := range 3 {
			// With an answer from before the commit, with nothing, and with the last answer, which ends at the
			// commit's record.
			for _, known := range []node{before, {}, waiting} {
				waiting = ask(t, reader, known)
				if waiting.at.LSN < before.at.LSN || waiting.at.LSN >= waiting.flushed || waiting.rows != rows+i {
					t.Errorf("%s, from %+v: %+v, before it %+v", name, known, waiting, before)
				}
			}
			exec(t, local, "INSERT INTO seen VALUES (0)")
		}
		rows += 3
		s.Resume(t)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		after := ask(t, reader, waiting)
		if after.at.LSN != after.flushed || after.rows <= rows {
			t.Errorf("%s, in the end: %+v", name, after)
		}
		rows = after.rows
		if err := writer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// Open transactions, idle or at work, do not hold the position back, because they have no commit record.
func TestNodePositionPassesOpenTransactions_R7(t *testing.T) {
	p := testenv.StartPostgres(t, testenv.Set("max_prepared_transactions", "2"))
	p.Exec(t, seenTable)
	super, reader := connect(t, p.URL("postgres")), connect(t, p.URL("query"))
	for _, sql := range []string{
		"BEGIN; INSERT INTO seen VALUES (1)",
		"BEGIN; INSERT INTO seen VALUES (1); SAVEPOINT a; INSERT INTO seen VALUES (2)",
		"BEGIN; INSERT INTO seen VALUES (1); PREPARE TRANSACTION 'x'",
	} {
		exec(t, connect(t, p.URL("postgres")), sql)
	}
	active := connect(t, p.URL("postgres"))
	pid := active.PgConn().PID()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = active.Exec(context.Background(), "BEGIN; INSERT INTO seen VALUES (1); SELECT pg_sleep(600)")
	}()
	testenv.Eventually(t, 10*time.Second, "the statement runs", func() bool {
		return text(t, super, fmt.Sprintf("SELECT coalesce(wait_event, '') FROM pg_stat_activity WHERE pid = %d", pid)) == "PgSleep"
	})
	exec(t, super, "CHECKPOINT")
	for i := range 3 {
		exec(t, super, "INSERT INTO seen VALUES (0)")
		first := ask(t, reader, node{})
		beyond := node{at: lsn.Position{LSN: 1 << 60}, started: first.started}
		for _, known := range []node{{}, first, beyond, {at: first.at}} {
			if n := ask(t, reader, known); n.at.LSN != n.flushed || n.rows != i+1 {
				t.Errorf("from %+v: %+v with %d rows committed", known, n, i+1)
			}
		}
	}
	exec(t, super, fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid))
	<-ended
}

// A standby says which timeline it is on, and no position beyond where that timeline was left.
func TestNodePositionOfAStandbyAcrossPromotions_R7(t *testing.T) {
	first := testenv.StartPostgres(t)
	first.Exec(t, seenTable)
	second, third := first.StartStandby(t), first.StartStandby(t)
	beat := func(p *testenv.Postgres, followers ...*testenv.Postgres) node {
		p.Exec(t, "INSERT INTO seen VALUES (1); SELECT heartbeat()")
		for _, f := range followers {
			f.WaitReplay(t)
		}
		return ask(t, connect(t, p.URL("query")), node{})
	}
	position := func(p *testenv.Postgres) node { return ask(t, connect(t, p.URL("query")), node{}) }

	before := beat(first, second, third)
	if n := position(second); !n.standby || n.at != before.at || n.beat != before.beat || n.rows != before.rows {
		t.Errorf("standby: %+v, primary: %+v", n, before)
	}
	// Otherwise the third node follows the first one to timeline 2, sooner or later.
	super := connect(t, third.URL("postgres"))
	exec(t, super, "ALTER SYSTEM RESET primary_conninfo")
	exec(t, super, "SELECT pg_reload_conf()")
	testenv.Eventually(t, 10*time.Second, "the third node stays behind", func() bool {
		return text(t, super, "SELECT count(*)::text FROM pg_stat_wal_receiver") == "0"
	})
	first.Stop(t)
	second.Promote(t)
	promoted := position(second)
	if promoted.standby || promoted.at.Timeline != 2 || promoted.at.LSN != promoted.flushed || promoted.beat != before.beat {
		t.Errorf("promoted: %+v", promoted)
	}
	first.Rejoin(t, second)
	// There is no heartbeat of timeline 2 yet, so what the standby has of timeline 2 does not count.
	begins := text(t, connect(t, second.URL("query")), "SELECT begins::text FROM timeline_branches(2)")
	if n := position(first); n.at.String() != "1-"+begins || n.flushed < promoted.flushed || n.rows != before.rows {
		t.Errorf("standby of timeline 2 without its heartbeat: %+v, it begins at %s", n, begins)
	}
	after := beat(second, first)
	if n := position(first); n.at != after.at || after.at.Timeline != 2 || n.beat != after.beat || n.rows != after.rows {
		t.Errorf("standby of timeline 2: %+v, primary: %+v", n, after)
	}

	// The third node is still on timeline 1. It gets the history file of timeline 2, but none of its WAL.
	if n := position(third); n.at.Timeline != 1 || n.at.LSN != n.flushed {
		t.Errorf("before it knows of timeline 2: %+v", n)
	}
	third.Exec(t, `COPY (SELECT) TO PROGRAM 'cat; printf "1\t`+before.at.LSN.String()+`\tno recovery target specified\n" > pg_wal/00000002.history'`)
	if n := position(third); n.at != before.at || n.flushed < n.at.LSN || n.rows != before.rows {
		t.Errorf("knowing of timeline 2: %+v, want %v", n, before.at)
	}
}

// The position on a primary is proven anew by itself after a crash, and for a caller that knows nothing in a database
// whose heartbeats know nothing.
func TestNodePositionStartsAnew_R7(t *testing.T) {
	p := testenv.StartPostgres(t, testenv.Set("max_prepared_transactions", "2"))
	p.Exec(t, seenTable)
	super := connect(t, p.URL("postgres"))
	exec(t, super, "BEGIN; INSERT INTO seen VALUES (1); PREPARE TRANSACTION 'x'")
	known := ask(t, super, node{})
	p.Kill(t)
	p.Start(t)
	p.Exec(t, "INSERT INTO seen VALUES (1)")
	super = connect(t, p.URL("postgres"))
	for _, known := range []node{{}, known} {
		if n := ask(t, super, known); !n.whole() || n.rows != 1 {
			t.Errorf("after a crash: %+v", n)
		}
	}
	for _, sql := range []string{"COMMIT PREPARED 'x'", "UPDATE heartbeats SET held = '0/0'", "CHECKPOINT", "INSERT INTO seen VALUES (1)"} {
		exec(t, super, sql)
	}
	if n := ask(t, super, node{}); !n.whole() || n.rows != 3 {
		t.Errorf("from the last checkpoint: %+v", n)
	}
	// A transaction from before the last checkpoint is still open. So nothing is known, and no position is claimed.
	exec(t, super, "BEGIN; INSERT INTO seen VALUES (1); PREPARE TRANSACTION 'x'")
	exec(t, super, "CHECKPOINT")
	if n := ask(t, super, node{}); n.at.LSN != 0 || n.rows != 3 {
		t.Errorf("from nothing: %+v", n)
	}
	exec(t, super, "COMMIT PREPARED 'x'")
	exec(t, super, "SELECT heartbeat()")
	if n := ask(t, super, node{}); !n.whole() || n.rows != 4 {
		t.Errorf("from a heartbeat: %+v", n)
	}
}

// R2: the position of a commit is the flush position or, with a synchronous standby, the end of the commit itself, so
// that later flushes of others do not make it unreachable for readers.
func TestCommitPosition_R2(t *testing.T) {
	p := testenv.StartPostgres(t)
	s := p.StartStandby(t)
	p.Exec(t, seenTable)
	writer, other, reader := connect(t, p.URL("command")), connect(t, p.URL("postgres")), connect(t, p.URL("query"))
	exec(t, other, "SET synchronous_commit = local")
	commit := func(writes string) (after, position string) {
		exec(t, writer, "BEGIN")
		exec(t, writer, writes)
		exec(t, writer, "SELECT before_commit()")
		exec(t, other, "INSERT INTO seen SELECT generate_series(1, 2000)") // before the commit record
		exec(t, writer, "COMMIT")
		after = text(t, writer, "SELECT position_text(pg_current_wal_flush_lsn())")
		exec(t, other, "INSERT INTO seen VALUES (1)")
		return after, text(t, writer, "SELECT commit_position()")
	}
	after, position := commit("INSERT INTO seen VALUES (1)")
	if flushed := text(t, other, "SELECT position_text(pg_current_wal_flush_lsn())"); position != flushed || position == after {
		t.Errorf("without a standby: %s, flushed is %s", position, flushed)
	}
	p.SetSynchronous(t, testenv.StandbyName)
	for _, writes := range []string{"INSERT INTO seen VALUES (1)", "INSERT INTO seen VALUES (1); SAVEPOINT a; INSERT INTO seen VALUES (2)"} {
		if after, position := commit(writes); position != after {
			t.Errorf("%s: %s, the commit ends at %s", writes, position, after)
		}
	}
	// The commit of another transaction that waits does not keep readers from an acknowledged commit.
	_, position = commit("INSERT INTO seen VALUES (1)")
	exec(t, writer, "BEGIN; INSERT INTO seen VALUES (1)")
	s.Pause(t)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = writer.Exec(context.Background(), "COMMIT")
	}()
	testenv.Eventually(t, 10*time.Second, "the commit waits", func() bool {
		return text(t, other, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
	})
	want, err := lsn.ParsePosition(position)
	if n := ask(t, reader, node{}); err != nil || n.at.Timeline != want.Timeline || n.at.LSN < want.LSN {
		t.Errorf("%+v, acknowledged is %v, %v", n, want, err)
	}
	s.Resume(t)
	<-ended
	exec(t, writer, "BEGIN; SELECT before_commit(); COMMIT")
	if flushed, position := text(t, other, "SELECT position_text(pg_current_wal_flush_lsn())"), text(t, writer, "SELECT commit_position()"); position != flushed {
		t.Errorf("after nothing was written: %s, flushed is %s", position, flushed)
	}
}
