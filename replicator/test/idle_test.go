package test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// idleWAL is how many MiB of WAL another database writes while this one is idle, which stand for an idle hour or day.
const idleWAL = 200

// P8, P7: the slot passes WAL of another database, and restart_lsn passes it too. The lag stays small meanwhile.
// restart_lsn moves when the primary has logged its running transactions, every 15 seconds and at a checkpoint, and the
// slot has confirmed a position behind that record.
func TestAnIdleSlotHoldsNoWALBack_P8(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.reached()
	begun := s.lsn()
	other, err := pgx.Connect(s.ctx, testenv.SharedPostgres(t).URL("postgres"))
	s.must(err)
	defer other.Close(s.ctx)
	var lag int64
	for range idleWAL {
		_, err = other.Exec(s.ctx, "SELECT pg_logical_emit_message(true, 'elsewhere', repeat('x', 1 << 20))")
		s.must(err)
		lag = max(lag, s.lag())
	}
	written := s.lsn()
	if written-begun < idleWAL<<20 {
		t.Fatalf("only %d bytes of WAL were written", written-begun)
	}
	reached := time.Now()
	s.reached()
	testenv.Eventually(t, patience, "the slot needs nothing of the other database's WAL", func() bool {
		lag = max(lag, s.lag())
		return s.count(`SELECT count(*) FROM pg_replication_slots WHERE database = current_database()
			AND confirmed_flush_lsn >= $1::pg_lsn AND restart_lsn >= $1::pg_lsn`, written.String()) == 1
	})
	t.Logf("passed %d MiB; restart_lsn %v after the end; the lag was at most %d ms", (written-begun)>>20, time.Since(reached).Round(time.Millisecond), lag)
	if lag > 1000 {
		t.Errorf("the lag was %d ms", lag)
	}
}

// lag is the lag that a reader would be told, in milliseconds, less the primary's share: on a busy machine the primary
// writes its next heartbeat late.
func (s *system) lag() int64 {
	s.t.Helper()
	c, err := s.checkpoint()
	s.must(err)
	told := c.LagMillis(time.Now().UnixMicro())
	primary := c
	s.must(s.db.QueryRow(s.ctx, "SELECT (extract(epoch FROM max(at)) * 1000000)::bigint FROM heartbeats").Scan(&primary.Beat.At))
	primary.Delay = 0
	return told - primary.LagMillis(time.Now().UnixMicro())
}
