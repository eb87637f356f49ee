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
	done := waiting(t, p, "INSERT INTO seen VALUES (1)")
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

// waiting begins a commit, and returns when it waits for the standby.
func waiting(t *testing.T, p *testenv.Postgres, sql string) (done chan error) {
	t.Helper()
	writer, other := connect(t, p.URL("postgres")), connect(t, p.URL("postgres"))
	done = make(chan error, 1)
	go func() {
		_, err := writer.Exec(t.Context(), sql)
		done <- err
	}()
	testenv.Eventually(t, 10*time.Second, "the commit waits", func() bool {
		return text(t, other, "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'") == "1"
	})
	return done
}

// A prepared transaction outlives its session and a crash. While it is open it holds no position back. While its commit waits
// for the standby, no heartbeat passes that commit.
func TestAHeartbeatStaysBeforeAPreparedBid_R7(t *testing.T) {
	t.Parallel()
	p := testenv.StartPostgres(t, testenv.Set("max_prepared_transactions", "1"))
	s := p.StartStandby(t, testenv.Set("max_prepared_transactions", "1"))
	const bids = "SELECT count(*)::text FROM bids"
	for _, bid := range []struct {
		crash         bool
		before, after string // bids
	}{{false, "0", "1"}, {true, "1", "2"}} {
		exec(t, connect(t, p.URL("postgres")), "BEGIN; INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (1, 1, 270, 1000, now()); PREPARE TRANSACTION 'bid'")
		if bid.crash {
			p.Kill(t)
			p.Start(t)
		}
		local := connect(t, p.URL("postgres"))
		exec(t, local, "SET synchronous_commit = local")
		beat := func(compare, position string) {
			t.Helper()
			for range 3 { // the second one could hold the position of the first
				exec(t, local, "SELECT heartbeat()")
			}
			if is := text(t, local, "SELECT (held "+compare+" '"+position+"')::text FROM heartbeats ORDER BY number DESC LIMIT 1"); is != "true" {
				t.Errorf("after a crash %v: what is held is not %s %s", bid.crash, compare, position)
			}
		}
		beat(">", text(t, local, "SELECT pg_current_wal_insert_lsn()::text"))
		p.SetSynchronous(t, testenv.StandbyName)
		s.Pause(t)
		done := waiting(t, p, "COMMIT PREPARED 'bid'")
		beat("<", text(t, local, "SELECT pg_current_wal_flush_lsn()::text"))
		if n := text(t, local, bids); n != bid.before {
			t.Errorf("%s bids are visible while the commit waits", n)
		}
		s.Resume(t)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		beat(">", text(t, local, "SELECT pg_current_wal_flush_lsn()::text"))
		if n := text(t, local, bids); n != bid.after {
			t.Errorf("%s bids are visible after the commit", n)
		}
		p.SetSynchronous(t, "")
	}
}
