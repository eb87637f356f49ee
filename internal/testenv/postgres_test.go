package testenv

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// scan reads one row of one column through a connection of its own.
func scan[T any](t testing.TB, url, sql string, args ...any) T {
	t.Helper()
	v, err := tryScan[T](url, sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func tryScan[T any](url, sql string, args ...any) (v T, err error) {
	return v, queryRow(url, sql, args, &v)
}

func TestPostgresHasRolesAndSchema(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t)
	for _, role := range []string{"migrator", "command", "query", "replicator", "pgpool", "exporter", "postgres"} {
		if got := scan[string](t, p.URL(role), "SELECT current_user::text"); got != role {
			t.Errorf("URL(%q) connects as %q", role, got)
		}
	}
	if n := scan[int](t, p.URL("query"), "SELECT count(*) FROM bids"); n != 0 {
		t.Errorf("a new cluster has %d bids", n)
	}
	if got := scan[string](t, p.URL("query"), "SHOW wal_level"); got != "logical" {
		t.Errorf("wal_level is %s", got)
	}
	if _, err := tryScan[int]("postgres://postgres@"+p.Addr()+"/postgres?sslmode=disable", "SELECT 1"); err == nil {
		t.Error("the superuser gets in over TCP")
	}
}

func TestPostgresSettings(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t, Set("fsync", "on"), Set("application_name", "it's"))
	if got := scan[string](t, p.URL("postgres"), "SHOW fsync"); got != "on" {
		t.Errorf("fsync is %s", got)
	}
	if got := scan[string](t, p.URL("postgres"), "SELECT reset_val FROM pg_settings WHERE name = 'application_name'"); got != "it's" {
		t.Errorf("application_name is %s", got)
	}
}

func TestPostgresKillAndStart(t *testing.T) {
	t.Parallel()
	p := StartPostgres(t)
	p.Exec(t, "CREATE TABLE kept AS SELECT 1 AS one")
	postmaster, _ := p.proc.state()
	pids, err := children(postmaster)
	if err != nil || len(pids) < 4 {
		t.Fatalf("children of the postmaster: %v, %v", pids, err)
	}
	p.Kill(t)
	for _, pid := range append(pids, postmaster) {
		if !gone(pid) {
			t.Errorf("process %d survived Kill", pid)
		}
	}
	p.Start(t)
	if n := scan[int](t, p.URL("postgres"), "SELECT count(*) FROM kept"); n != 1 {
		t.Errorf("%d rows after kill -9 and start", n)
	}
	p.Stop(t)
	p.Start(t)
	p.Pause(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := pgx.Connect(ctx, p.URL("query")); err == nil {
		t.Error("a paused server lets a client in")
	}
	p.Resume(t)
	if n := scan[int](t, p.URL("postgres"), "SELECT count(*) FROM kept"); n != 1 {
		t.Errorf("%d rows after a pause", n)
	}
}

func TestFreshHasItsOwnSystemIdentifier(t *testing.T) {
	t.Parallel()
	const id = "SELECT system_identifier FROM pg_control_system()"
	copied, fresh := StartPostgres(t), StartPostgres(t, Fresh())
	if a, b := scan[int64](t, copied.URL("postgres"), id), scan[int64](t, fresh.URL("postgres"), id); a == b {
		t.Errorf("both have system identifier %d", a)
	}
	if n := scan[int](t, fresh.URL("query"), "SELECT count(*) FROM bids"); n != 0 {
		t.Errorf("a new cluster has %d bids", n)
	}
}

func TestNewDatabase(t *testing.T) {
	t.Parallel()
	var name string
	t.Run("use", func(t *testing.T) {
		a, b := NewDatabase(t), NewDatabase(t)
		name = a.Name
		a.Exec(t, "INSERT INTO users (login, password_hash) VALUES ('a', 'x')")
		if n := scan[int](t, a.URL("command"), "SELECT count(*) FROM users"); n != 1 {
			t.Errorf("%d users in the first", n)
		}
		if n := scan[int](t, b.URL("command"), "SELECT count(*) FROM users"); n != 0 {
			t.Errorf("%d users in the second", n)
		}
		const acl = `SELECT string_agg(x::text, ' ' ORDER BY x::text) FROM pg_database, unnest(datacl) x WHERE datname = $1`
		want := scan[string](t, a.cluster.URL("postgres"), acl, sharedTemplate)
		if got := scan[string](t, a.cluster.URL("postgres"), acl, name); got != want {
			t.Errorf("grants of the clone: %s, of the template: %s", got, want)
		}
		holdSlot(t, a)
	})
	left := "SELECT count(*) FROM pg_database WHERE datname = $1"
	if n := scan[int](t, SharedPostgres(t).URL("postgres"), left, name); n != 0 {
		t.Errorf("%s still exists after its test", name)
	}
}

// holdSlot makes a logical slot and streams from it beyond the end of the test.
func holdSlot(t *testing.T, d *Database) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), d.URL("replicator")+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`CREATE_REPLICATION_SLOT held LOGICAL pgoutput NOEXPORT_SNAPSHOT`,
	} {
		if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	go func() {
		// It ends, with an error, when the database is dropped.
		_, _ = conn.PgConn().Exec(context.Background(),
			`START_REPLICATION SLOT held LOGICAL 0/0 (proto_version '1', publication_names 'pyramid')`).ReadAll()
	}()
	Eventually(t, stopBudget, "the slot is active", func() bool {
		return scan[bool](t, d.URL("postgres"), "SELECT active FROM pg_replication_slots WHERE slot_name = 'held'")
	})
}

func BenchmarkStartPostgres(b *testing.B) {
	for b.Loop() {
		p := StartPostgres(b)
		p.Stop(b)
	}
}

func BenchmarkNewDatabase(b *testing.B) {
	SharedPostgres(b)
	for b.Loop() {
		NewDatabase(b)
	}
}
