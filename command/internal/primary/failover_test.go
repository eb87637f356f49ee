package primary

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

var addUser = Step{SQL: "INSERT INTO users (login, password_hash) VALUES (gen_random_uuid()::text, 'x')"}

func count(t *testing.T, p *testenv.Postgres) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err == nil {
		err = errors.Join(conn.QueryRow(t.Context(), "SELECT count(*) FROM users").Scan(&n), conn.Close(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// closeTo makes a primary take no writes, as a deposed one does. New sessions have the setting after the old ones were
// told.
func closeTo(t *testing.T, p *testenv.Postgres) {
	t.Helper()
	p.Configure(t, testenv.Set("default_transaction_read_only", "on"))
}

// A primary that was closed refuses the transactions of connections that it has already.
func TestAClosedPrimaryTakesNoTransaction(t *testing.T) {
	p := testenv.StartPostgres(t)
	c := warmConns(t, openServer(t, p.URL("command")), 1)
	if _, err := c.Transact(t.Context(), addUser); err != nil {
		t.Fatal(err)
	}
	err := c.Use(t.Context(), func(conn *pgx.Conn) error {
		closeTo(t, p)
		testenv.Eventually(t, 10*time.Second, "the session knows", func() bool {
			var closed string
			return conn.QueryRow(t.Context(), "SHOW default_transaction_read_only").Scan(&closed) == nil && closed == "on"
		})
		_, err := transactOnce(t.Context(), conn, []Step{addUser})
		return err
	})
	if !pg.HasCode(err, pg.ReadOnlySQLTransaction) || !moved(err) {
		t.Errorf("a transaction on a closed primary: %v", err)
	}
	began := time.Now()
	if _, err := c.Transact(t.Context(), addUser); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no server takes writes: %v", err)
	}
	if took := time.Since(began); took < patience/2 {
		t.Errorf("given up after %v", took)
	}
	if n := count(t, p); n != 1 {
		t.Errorf("%d users", n)
	}
}

// W4: requests outlast a short pause, share the search for the primary, and fail at once when the pause is long.
func TestAPauseIsOutlastedAndAnOutageIsNot_W4(t *testing.T) {
	first := testenv.StartPostgres(t)
	standby := first.StartStandby(t)
	s := openServer(t, testenv.MultiHostURL(first.URL("command"), standby.URL("command")))
	const places = 4
	c := warmConns(t, s, places)
	closeTo(t, first)
	answers := make(chan error, places)
	for range places {
		go func() {
			_, err := c.Transact(t.Context(), addUser)
			answers <- err
		}()
	}
	testenv.Eventually(t, 10*time.Second, "the pause is noticed", func() bool { return s.Away(time.Now().Add(-time.Second)) })
	standby.Promote(t)
	for range places {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if n := count(t, standby); n != places {
		t.Errorf("%d users", n)
	}
	closeTo(t, standby)
	if _, err := c.Transact(t.Context(), addUser); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no server takes writes: %v", err)
	}
	began := time.Now()
	for range 5 {
		if _, err := c.Transact(t.Context(), addUser); !errors.Is(err, ErrUnavailable) {
			t.Errorf("no server takes writes: %v", err)
		}
	}
	if took := time.Since(began); took > patience {
		t.Errorf("five refusals in a long outage took %v", took)
	}
}

// P10: of two servers that take writes, only the one on the highest timeline is used, even if the process has seen the
// lower one first, has connections to it, and finds it first in its URL.
func TestAnOvertakenPrimaryIsNotUsed_P10(t *testing.T) {
	old := testenv.StartPostgres(t)
	standby := old.StartStandby(t)
	s := openServer(t, testenv.MultiHostURL(old.URL("command"), standby.URL("command")))
	c, other := warmConns(t, s, 2), s.Conns("other", 1, time.Second)
	if _, err := c.Transact(t.Context(), addUser); err != nil {
		t.Fatal(err)
	}
	standby.WaitReplay(t)
	held, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close(context.Background())
	standby.Promote(t)
	if _, err := other.Transact(t.Context(), addUser); err != nil { // over a new connection
		t.Fatal(err)
	}
	if !s.Overtaken(held) {
		t.Error("the connection that holds a lock does not count as overtaken")
	}
	again, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(context.Background())
	if s.Overtaken(again) {
		t.Error("a new connection leads to the old primary")
	}
	for range 20 {
		if _, err := c.Transact(t.Context(), addUser); err != nil { // over what were connections to the old primary
			t.Error(err)
		}
	}
	if was, is := count(t, old), count(t, standby); was != 1 || is != 22 {
		t.Errorf("%d users on the old primary, %d on the new one", was, is)
	}
	standby.Stop(t)
	if _, err := c.Transact(t.Context(), addUser); !errors.Is(err, ErrUnavailable) {
		t.Errorf("only the old primary runs: %v", err)
	}
}
