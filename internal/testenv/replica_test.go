package testenv

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestStandbyReplaysAndIsPromoted(t *testing.T) {
	t.Parallel()
	primary := StartPostgres(t)
	standby := primary.StartStandby(t)
	const isStandby = "SELECT current_setting('in_hot_standby')::boolean"
	if scan[bool](t, primary.URL("query"), isStandby) || !scan[bool](t, standby.URL("query"), isStandby) {
		t.Error("the roles of primary and standby are wrong")
	}
	primary.Exec(t, "INSERT INTO users (login, password_hash) SELECT 'u' || i, 'x' FROM generate_series(1, 1000) i")
	standby.WaitReplay(t)
	if n := users(t, standby); n != 1000 {
		t.Errorf("the standby has %d users", n)
	}
	standby.Kill(t)
	primary.Exec(t, "DELETE FROM users")
	standby.Start(t)
	standby.WaitReplay(t)
	if n := users(t, standby); n != 0 {
		t.Errorf("after kill -9 and start the standby has %d users", n)
	}
	primary.Kill(t)
	standby.Promote(t)
	standby.Exec(t, "INSERT INTO users (login, password_hash) VALUES ('after', 'x')")
}

func TestPgpoolRoutesReadsToTheStandby(t *testing.T) {
	t.Parallel()
	primary := StartPostgres(t)
	standby := primary.StartStandby(t)
	pool := StartPgpool(t, primary, standby)
	readsFrom(t, pool, true)

	if err := execute(pool.URL("command"), "INSERT INTO users (login, password_hash) VALUES ('a', 'x')"); err != nil {
		t.Errorf("write through pgpool: %v", err)
	}
	pool.Kill(t)
	pool.Start(t)
	readsFrom(t, pool, true)
	pool.Stop(t)
	pool.Start(t)

	standby.Stop(t)
	Eventually(t, startBudget, "reads fall back to the primary", func() bool {
		standby, err := tryScan[bool](pool.URL("query"), "SELECT current_setting('in_hot_standby')::boolean")
		return err == nil && !standby
	})
	pool.Kill(t)
	pool.Start(t)
	standby.Start(t)
	EventuallyNoError(t, startBudget, "pgpool takes the standby back", pool.ready)
}

func readsFrom(t *testing.T, pool *Pgpool, standby bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), pool.URL("query"))
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		for range 3 {
			var got bool
			if err := conn.QueryRow(t.Context(), "SELECT current_setting('in_hot_standby')::boolean", mode).Scan(&got); err != nil {
				t.Fatalf("%v: %v", mode, err)
			}
			if got != standby {
				t.Errorf("%v: node_is_standby() is %v", mode, got)
			}
		}
	}
	if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func BenchmarkStartStandby(b *testing.B) {
	p := StartPostgres(b)
	for b.Loop() {
		s := p.StartStandby(b)
		s.Stop(b)
	}
}

func BenchmarkStartPgpool(b *testing.B) {
	p := StartPostgres(b)
	s := p.StartStandby(b)
	for b.Loop() {
		g := StartPgpool(b, p, s)
		g.Stop(b)
	}
}
