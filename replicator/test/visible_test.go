package test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// P11: a change of the publication is in the stream once it is flushed. If a synchronous standby is away, no snapshot
// shows the change until the standby is back. Meanwhile the stream lacks rows, and nothing after the change may count
// as applied.
func TestAChangeThatIsNotVisibleYetIsWaitedFor_P11(t *testing.T) {
	t.Parallel()
	server := testenv.StartPostgres(t)
	s := newSystem(t, server)
	s.bids(100)
	s.replicate()
	before := s.reached()
	set := func(names string) {
		s.exec("SET synchronous_commit = local")
		s.exec("ALTER SYSTEM SET synchronous_standby_names = '" + names + "'")
		s.exec("SELECT pg_reload_conf()")
	}
	set("nobody")
	altered := make(chan error, 1)
	go func() {
		altered <- func() error {
			conn, err := pgx.Connect(s.ctx, server.URL("postgres"))
			if err != nil {
				return err
			}
			_, err = conn.Exec(s.ctx, "ALTER PUBLICATION pyramid SET TABLE bids WHERE (raffle_id > 5), raffles, products")
			return errors.Join(err, conn.Close(s.ctx))
		}()
	}()
	waits := func(what, sql string) {
		t.Helper()
		testenv.EventuallyNoError(t, patience, what, func() error {
			if s.count("SELECT count(*) FROM pg_stat_activity WHERE "+sql) == 0 {
				c, err := s.checkpoint()
				return errors.Join(fmt.Errorf("the checkpoint is %s", c), err)
			}
			return nil
		})
	}
	waits("the change waits for the standby", "wait_event = 'SyncRep' AND query LIKE 'ALTER PUBLICATION%'")
	change := s.lsn()
	s.bids(30)
	waits("the replicator waits for the change", "application_name = 'replicator-publication' AND clock_timestamp() - backend_start > interval '0.5 s'")
	if c, err := s.checkpoint(); err != nil || c.Epoch != before.Epoch || c.LSN > change {
		t.Errorf("P11: the change is at %s or before, the checkpoint is %s %v", change, c, err)
	}
	set("")
	if err := <-altered; err != nil {
		t.Fatal(err)
	}
	s.exec("ALTER PUBLICATION pyramid SET TABLE bids, raffles, products")
	s.because(status.PublicationChanged)
	if c := s.equal(); c.Epoch == before.Epoch {
		t.Errorf("P11: the checkpoint is %s", c)
	}
}
