package primary

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func openServer(t *testing.T, url string) *Server {
	t.Helper()
	return countedServer(t, url, prometheus.NewRegistry())
}

func countedServer(t *testing.T, url string, reg *prometheus.Registry) *Server {
	t.Helper()
	s, err := Open(url, reg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func warmConns(t *testing.T, s *Server, most int) *Conns {
	t.Helper()
	c := s.Conns("test", most, time.Second)
	testenv.EventuallyNoError(t, time.Minute, "the connections are open", func() error { return s.Warm(t.Context()) })
	return c
}

func ask(ctx context.Context, c *Conns) error {
	return c.Use(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SELECT 1")
		return err
	})
}

// A primary that freezes while all connections are in use does not keep their places, so a standby that is promoted
// later is used at once.
func TestAFrozenPrimaryLeavesNoDeadPlaces_W7(t *testing.T) {
	first := testenv.StartPostgres(t)
	standby := first.StartStandby(t)
	s := openServer(t, "postgres://command:command@"+first.Addr()+","+standby.Addr()+"/pyramid?sslmode=disable")
	const places = 4
	c := warmConns(t, s, places)
	first.Pause(t)
	defer first.Resume(t)
	var failed atomic.Int64
	done, answered := make(chan struct{}), make(chan time.Time, places)
	var wg sync.WaitGroup
	for range places {
		wg.Go(func() {
			for {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // as a batch has
				err := ask(ctx, c)
				cancel()
				if err == nil {
					answered <- time.Now()
					return
				}
				failed.Add(1)
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	testenv.Eventually(t, 20*time.Second, "all have lost their connections, and found no server", func() bool { return failed.Load() >= 3*places })
	standby.Promote(t)
	promoted := time.Now()
	select {
	case at := <-answered:
		if took := at.Sub(promoted); took > 2*time.Second {
			t.Errorf("the promoted server was used after %v", took)
		}
	case <-time.After(20 * time.Second):
		t.Error("the promoted server was never used")
	}
	close(done)
	wg.Wait()
}

// A connection that the server has ended while it was idle fails no transaction.
func TestAnEndedConnectionIsReplaced(t *testing.T) {
	db := testenv.NewDatabase(t)
	c := warmConns(t, openServer(t, db.URL("command")), 2)
	db.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'command' AND datname = current_database()")
	for range 3 {
		if _, err := c.Transact(t.Context(), Step{SQL: "SELECT 1"}); err != nil {
			t.Error(err)
		}
	}
}

// A statement that fails within a transaction costs no connection.
func TestAConflictKeepsTheConnection(t *testing.T) {
	db := testenv.NewDatabase(t)
	reg := prometheus.NewRegistry()
	c := warmConns(t, countedServer(t, db.URL("command"), reg), 1)
	for range 3 {
		_, err := c.Transact(t.Context(), Step{SQL: "SELECT 'x'::text::integer"})
		if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("bad data: %v", err)
		}
		if _, err := c.Transact(t.Context(), Step{SQL: "SELECT 1"}); err != nil {
			t.Error(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if made := f.GetMetric()[0].GetCounter().GetValue(); f.GetName() == "command_primary_connections_made_total" && made != 1 {
			t.Errorf("%v connections were made", made)
		}
	}
}

// A panic in the use of a connection leaves its place free and no transaction open.
func TestAPanicKeepsNoPlace_W7(t *testing.T) {
	db := testenv.NewDatabase(t)
	c := warmConns(t, openServer(t, db.URL("command")), 1)
	func() {
		defer func() { _ = recover() }()
		_ = c.Use(t.Context(), func(conn *pgx.Conn) error {
			if _, err := conn.Exec(t.Context(), "BEGIN"); err != nil {
				t.Error(err)
			}
			panic("a fault of ours")
		})
	}()
	if err := ask(t.Context(), c); err != nil {
		t.Error(err)
	}
	if n := len(c.places); n != 0 {
		t.Errorf("%d places in use", n)
	}
}

// W7: a set without a free connection does not affect other sets, and nobody waits for a connection beyond their
// time.
func TestSetsAreApart_W7(t *testing.T) {
	db := testenv.NewDatabase(t)
	s := openServer(t, db.URL("command"))
	busy, other := s.Conns("busy", 1, time.Second), s.Conns("other", 1, time.Second)
	entered, leave := make(chan struct{}), make(chan struct{})
	held := make(chan error)
	go func() {
		held <- busy.Use(t.Context(), func(*pgx.Conn) error { close(entered); <-leave; return nil })
	}()
	<-entered
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ask(over, busy); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no place is free: %v", err)
	}
	if err := errors.Join(ask(t.Context(), other), Writable(s)(t.Context())); err != nil {
		t.Error(err)
	}
	close(leave)
	if err := <-held; err != nil {
		t.Error(err)
	}
}

// W1: a commit whose wait for the synchronous standby was cancelled may be lost with this server.
func TestACancelledWaitIsNoCommit_W1(t *testing.T) {
	server := testenv.StartPostgres(t)
	server.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	server.Exec(t, "SELECT pg_reload_conf()")
	c := warmConns(t, openServer(t, server.URL("command")), 1)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Transact(t.Context(), Step{SQL: "INSERT INTO users (login, password_hash) VALUES ('nobody', 'x')"})
		ended <- err
	}()
	const cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND usename = 'command'"
	for {
		select {
		case err := <-ended:
			if !errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("answered as committed: %v", err)
			}
			return
		default:
			server.Exec(t, cancel)
		}
	}
}
