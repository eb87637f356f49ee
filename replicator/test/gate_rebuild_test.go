package test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// opened begins a transaction that has a number. The function ends it.
func (s *system) opened() (end func()) {
	s.t.Helper()
	conn, err := pgx.Connect(s.ctx, s.dbs.URL("postgres"))
	s.must(err)
	s.t.Cleanup(func() { conn.Close(s.ctx) })
	_, err = conn.Exec(s.ctx, "BEGIN; SELECT pg_current_xact_id()")
	s.must(err)
	return func() {
		_, err := conn.Exec(s.ctx, "ROLLBACK")
		s.must(err)
	}
}

// P14: the snapshot of a new slot shows a commit that waits for the standby, if the commit came while the slot waited for
// the second set of open transactions. The new read model is shown only once the standby has the commit.
func TestARebuildShowsNoCommitThatWaits_P14(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	waitsFor := func(before string) (now string) {
		testenv.Eventually(t, patience, "the new slot waits for another transaction", func() bool {
			if p := g.report().Rebuild; p != nil && len(p.WaitsFor) > 0 {
				now, _, _ = strings.Cut(p.WaitsFor[0], ",")
			}
			return now != before
		})
		return now
	}
	first := g.opened()
	g.must(g.redis.FlushAll(g.ctx).Err())
	one := waitsFor("")
	second := g.opened()
	first()
	waitsFor(one)
	_, done := g.hang(g.standby.Pause, 3)
	second()
	g.exec("CHECKPOINT") // logs the open transactions, for which the slot waits up to 15 s otherwise
	testenv.Eventually(t, patience, "the rebuild waits for the standby", func() bool {
		if c, err := g.checkpoint(); err == nil {
			t.Fatalf("P14: the checkpoint is %s", c)
		}
		return g.report().Waits() && strings.Contains(g.Output(), "waits for the synchronous standby: ")
	})
	g.standby.Resume(t)
	g.must(<-done)
	g.equal()
}
