package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// StandbyName is the application_name of a standby: what pg_stat_replication shows and
// synchronous_standby_names takes.
const StandbyName = "standby"

// StartStandby starts a hot standby of p, fed by streaming, and waits until it streams and has replayed what p holds
// now.
func (p *Postgres) StartStandby(t testing.TB, opts ...Option) *Postgres {
	t.Helper()
	o := apply(opts)
	s := newPostgres(t, "standby", o)
	s.primary = p
	if err := s.copyPrimary(); err != nil {
		t.Fatalf("standby: %v", err)
	}
	s.startFirst(t, o.settings)
	s.WaitReplay(t)
	return s
}

// copyPrimary copies the primary's data with pg_basebackup. Builds of PostgreSQL that have the server alone lack it. The
// copy is then that of a primary that stands still.
func (s *Postgres) copyPrimary() error {
	source := fmt.Sprintf("postgres://standby:standby@%s/?sslmode=disable&application_name=%s", s.primary.Addr(), StandbyName)
	path, err := postgresBinary("pg_basebackup")
	if errors.Is(err, os.ErrNotExist) {
		return s.copyFrozen(source)
	}
	if err != nil {
		return err
	}
	// -R writes standby.signal and primary_conninfo.
	return runTool(s.proc.owner, s.dir, path, "-D", s.data(), "-d", source,
		"-X", "stream", "-c", "fast", "-R", "--no-sync", "--no-manifest")
}

// copyFrozen makes what pg_basebackup -R makes. The standby begins with a crash recovery.
func (s *Postgres) copyFrozen(source string) error {
	if err := s.primary.frozen(func() error { return copyData(s.primary.data(), s.data()) }); err != nil {
		return err
	}
	if err := s.removeSlots(); err != nil {
		return err
	}
	if err := writeConfig(filepath.Join(s.data(), "standby.signal"), "", s.proc.owner); err != nil {
		return err
	}
	auto, err := os.OpenFile(filepath.Join(s.data(), "postgresql.auto.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(auto, "primary_conninfo = '%s'\n", source)
	return errors.Join(err, auto.Close())
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
	// pg_promote does not wait here, because a session that waits in it holds a snapshot, and the rest of the
	// replay can conflict with that.
	s.Exec(t, "SELECT pg_promote(false)")
	EventuallyNoError(t, startBudget, "the promotion ends", func() error {
		var standby bool
		err := queryRow(s.URL("postgres"), "SELECT pg_is_in_recovery()", nil, &standby)
		if err == nil && standby {
			err = errNotYet
		}
		return err
	})
	s.primary = nil
}

// Rejoin makes p, which must have ended, a standby of another server. The standby has a new copy of that
// server's data and the port of p. It waits as StartStandby does.
func (p *Postgres) Rejoin(t testing.TB, primary *Postgres) {
	t.Helper()
	if p.proc.running() {
		t.Fatalf("%s: rejoin of a running server", p.proc.name)
	}
	p.primary = primary
	p.proc.must(t, os.RemoveAll(p.data()))
	p.proc.must(t, p.copyPrimary())
	p.Start(t)
	p.WaitReplay(t)
}

// Timeline is the timeline whose WAL p writes or, as a standby, replays.
func (p *Postgres) Timeline(t testing.TB) (timeline uint32) {
	t.Helper()
	// A standby's control file has the timeline of its last restart point, which may be older. Its WAL receiver
	// shows nothing until it streams.
	const sql = `SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT received_tli FROM pg_stat_wal_receiver)
		ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END`
	EventuallyNoError(t, startBudget, "the timeline is known", func() error {
		return queryRow(p.URL("postgres"), sql, nil, &timeline)
	})
	return timeline
}

// SetSynchronous makes commits on p wait for the named standbys (setting synchronous_standby_names), or for
// none of them if names is empty. In that case commits that already wait go on, too. Whether a commit waits is
// a flag that the checkpointer sets when it reads the setting, so SetSynchronous waits until the checkpointer
// sleeps: the checkpointer got its signal before a new session had the setting, and it handles its signals
// before it sleeps.
func (p *Postgres) SetSynchronous(t testing.TB, names string) {
	t.Helper()
	p.Configure(t, Set("synchronous_standby_names", names))
	const sql = `SELECT count(*) = 0 FROM pg_stat_replication
		WHERE application_name = $2 AND (sync_state = 'async') <> ($1 = '')`
	Eventually(t, startBudget, "the standby's part is changed", func() (done bool) {
		p.proc.must(t, queryRow(p.URL("postgres"), sql, []any{names, StandbyName}, &done))
		return done
	})
	var checkpointer int
	p.proc.must(t, queryRow(p.URL("postgres"), "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'", nil, &checkpointer))
	Eventually(t, startBudget, "the checkpointer has read the setting", func() bool {
		state, _, _ := stat(checkpointer)
		return state == "S"
	})
}

// Configure changes settings of the running server and waits until new sessions have them. They stay with
// p when it is started again, and a copy of its data doesn't have them.
func (p *Postgres) Configure(t testing.TB, opts ...Option) {
	t.Helper()
	changed := apply(opts).settings
	p.settings = append(p.settings, changed...)
	p.proc.must(t, p.configure())
	p.Exec(t, "SELECT pg_reload_conf()")
	for _, s := range changed {
		Eventually(t, startBudget, fmt.Sprintf("%s is %q", s.Name, s.Value), func() bool {
			var now string
			p.proc.must(t, queryRow(p.URL("postgres"), "SELECT current_setting($1)", []any{s.Name}, &now))
			return now == s.Value
		})
	}
}

// PauseReplay makes the standby receive WAL and replay none of it.
func (p *Postgres) PauseReplay(t testing.TB) {
	t.Helper()
	p.Exec(t, "SELECT pg_wal_replay_pause()")
	Eventually(t, startBudget, "the replay pauses", func() bool {
		var state string
		p.proc.must(t, queryRow(p.URL("postgres"), "SELECT pg_get_wal_replay_pause_state()", nil, &state))
		return state == "paused"
	})
}

// ResumeReplay ends PauseReplay.
func (p *Postgres) ResumeReplay(t testing.TB) {
	t.Helper()
	p.Exec(t, "SELECT pg_wal_replay_resume()")
}

// MultiHostURL joins several connection strings of one role and database into one, as Postgres.URL and
// Proxy.URL give them. A client tries their hosts in this order.
func MultiHostURL(urls ...string) string {
	var hosts []string
	for _, url := range urls {
		hosts = append(hosts, host(url))
	}
	return strings.Replace(urls[0], hosts[0], strings.Join(hosts, ","), 1)
}

// host is what is between @ and / of a connection string.
func host(url string) string {
	_, after, _ := strings.Cut(url, "@")
	host, _, _ := strings.Cut(after, "/")
	return host
}
