package migrations_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P7: a heartbeat that reads much WAL for its position, as after a burst in another database, takes its time after
// that. Otherwise the reading would count as lag of the read model.
func TestHeartbeatIsTimedAtItsEnd_P7(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testenv.NewDatabase(t).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	exec(t, conn, `CREATE OR REPLACE FUNCTION visible_position(known pg_lsn) RETURNS pg_lsn LANGUAGE plpgsql STABLE AS
		$$ BEGIN PERFORM pg_sleep(0.5); RETURN known; END $$`)
	exec(t, conn, "BEGIN; SELECT heartbeat()")
	const timed = "SELECT (at - now() >= interval '500 ms')::text FROM heartbeats ORDER BY number DESC LIMIT 1"
	if text(t, conn, timed) != "true" {
		t.Error("the heartbeat has the time of its beginning")
	}
	exec(t, conn, "COMMIT")
}

// A heartbeat holds the position of the one before, because all transactions that wrote before it have ended. It does not
// pass a commit that waits for its standby, and nothing is concluded from a heartbeat whose transaction wrote before.
func TestAHeartbeatHoldsWhatIsVisible_R7(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t)
	s := p.StartStandby(t)
	p.Exec(t, seenTable)
	local := connect(t, p.URL("postgres"))
	exec(t, local, "SET synchronous_commit = local")
	last := func(value string) string {
		return text(t, local, "SELECT ("+value+")::text FROM heartbeats h ORDER BY number DESC LIMIT 1")
	}
	const ofTheOneBefore = "h.held = (SELECT b.lsn FROM heartbeats b WHERE b.number = h.number - 1)"
	for range 2 {
		exec(t, local, "SELECT heartbeat()")
		exec(t, local, "INSERT INTO seen VALUES (1)")
	}
	if last(ofTheOneBefore) != "true" {
		t.Error("the last heartbeat's position was not enough")
	}
	exec(t, local, "BEGIN; INSERT INTO seen VALUES (1); SELECT heartbeat(); COMMIT")
	if last("h.transaction IS NULL") != "true" {
		t.Error("its transaction had its id before it")
	}
	exec(t, local, "SELECT heartbeat()")
	if last(ofTheOneBefore) != "false" {
		t.Error("a heartbeat without a transaction proves nothing")
	}
	p.SetSynchronous(t, testenv.StandbyName)
	s.Pause(t)
	writer, done := connect(t, p.URL("postgres")), make(chan error, 1)
	go func() {
		_, err := writer.Exec(t.Context(), "INSERT INTO seen VALUES (1)")
		done <- err
	}()
	testenv.Eventually(t, 10*time.Second, "the commit waits", func() bool {
		return text(t, local, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
	})
	flushed := text(t, local, "SELECT pg_current_wal_flush_lsn()::text")
	for range 3 {
		exec(t, local, "SELECT heartbeat()")
		if last("h.held < '"+flushed+"'") != "true" {
			t.Errorf("held %s, the commit that waits ends at or before %s", last("h.held"), flushed)
		}
	}
	s.Resume(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		exec(t, local, "SELECT heartbeat()")
	}
	if last(ofTheOneBefore) != "true" {
		t.Error("the position stays back after the commit")
	}
}
