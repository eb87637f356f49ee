package testenv

import (
	"fmt"
	"testing"
)

// StandbyName is the application_name of a standby: what pg_stat_replication shows and
// synchronous_standby_names takes.
const StandbyName = "standby"

// StartStandby starts a hot standby of p, made by pg_basebackup and fed by streaming, and waits
// until it streams and has replayed what p holds now.
func (p *Postgres) StartStandby(t testing.TB, opts ...Option) *Postgres {
	t.Helper()
	o := apply(opts)
	s := newPostgres(t, "standby", o)
	s.primary = p
	if err := s.backup(); err != nil {
		t.Fatalf("standby: %v", err)
	}
	s.startFirst(t, o.settings)
	s.WaitReplay(t)
	return s
}

// backup copies the primary's data. -R writes standby.signal and primary_conninfo.
func (s *Postgres) backup() error {
	path, err := postgresBinary("pg_basebackup")
	if err != nil {
		return err
	}
	source := fmt.Sprintf("postgres://standby:standby@%s/?sslmode=disable&application_name=%s", s.primary.Addr(), StandbyName)
	return runTool(s.proc.owner, s.dir, path, "-D", s.data(), "-d", source,
		"-X", "stream", "-c", "fast", "-R", "--no-sync", "--no-manifest")
}

// WaitReplay waits until the standby has replayed everything that its primary has flushed by now.
func (s *Postgres) WaitReplay(t testing.TB) {
	t.Helper()
	if s.primary == nil {
		t.Fatal("WaitReplay: not a standby")
	}
	var want string
	err := queryRow(s.primary.URL("postgres"), "SELECT pg_current_wal_flush_lsn()::text", nil, &want)
	if err != nil {
		t.Fatalf("position of the primary: %v", err)
	}
	EventuallyNoError(t, startBudget, "the standby has replayed "+want, func() error {
		var at string
		var done bool
		const sql = "SELECT pg_last_wal_replay_lsn()::text, pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
		if err := queryRow(s.URL("postgres"), sql, []any{want}, &at, &done); err != nil || done {
			return err
		}
		return fmt.Errorf("it is at %s", at)
	})
}

// Promote makes the standby a primary on a new timeline and waits until it takes writes.
func (s *Postgres) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "SELECT pg_promote(true, 60)")
	s.primary = nil
}
