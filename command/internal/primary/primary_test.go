package primary

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func TestParseURL(t *testing.T) {
	for _, good := range []string{
		"postgres://command:secret@localhost:5432/pyramid",
		"postgresql://command:secret@localhost/pyramid?",
		"postgres://command:secret@localhost:1,localhost:2/pyramid?sslmode=disable",
		"postgres://command:secret@localhost:1,localhost:2/pyramid?target_session_attrs=read-write",
	} {
		config, err := ParseURL(good)
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		if config.ConnConfig.ValidateConnect == nil {
			t.Errorf("%s: not validated", good)
		}
	}
	for _, bad := range []string{
		"host=localhost dbname=pyramid", "http://localhost/", "postgres://%zz",
		"postgres://command:secret@localhost:port/pyramid",
		"postgres://command:secret@localhost/pyramid?target_session_attrs=any",
		"postgres://command:secret@localhost/pyramid?target_session_attrs=read-write&target_session_attrs=any",
		"postgres://command:secret@localhost/pyramid?x=%",
		"postgres://command:secret@localhost/pyramid?sslmode=perhaps",
	} {
		_, err := ParseURL(bad)
		if err == nil {
			t.Errorf("%s is accepted", bad)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the password is in %q", err)
		}
	}
}

// W1: no setting of the role or of the server makes a commit answer before its flush.
func TestSessionIsDurable_W1(t *testing.T) {
	db := testenv.NewDatabase(t)
	db.Exec(t, "ALTER ROLE command IN DATABASE "+db.Name+" SET synchronous_commit = off")
	server, err := Open(db.URL("command"), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	held, err := server.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check := func(conn *pgx.Conn) error {
		for name, want := range session {
			var got, unit string
			if err := conn.QueryRow(t.Context(), "SELECT setting, coalesce(unit, '') FROM pg_settings WHERE name = $1", name).Scan(&got, &unit); err != nil || got != want {
				t.Errorf("%s is %q %s, %v, want %q", name, got, unit, err, want)
			}
		}
		return nil
	}
	if err := errors.Join(check(held), held.Close(t.Context()), server.Conns("test", 1, time.Second).Use(t.Context(), check)); err != nil {
		t.Error(err)
	}
}

func TestWritableFollowsTheServer(t *testing.T) {
	first := testenv.StartPostgres(t)
	standby := first.StartStandby(t)
	url := "postgres://command:command@" + standby.Addr() + "," + first.Addr() + "/pyramid?sslmode=disable"
	first.Stop(t)
	server, err := Open(url, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ready := Writable(server)
	if err := ready(t.Context()); err == nil {
		t.Error("ready with a standby alone")
	}
	first.Start(t)
	testenv.EventuallyNoError(t, 10*time.Second, "ready again", func() error { return ready(t.Context()) })
	first.Kill(t)
	standby.Promote(t)
	testenv.EventuallyNoError(t, 10*time.Second, "ready on the promoted standby", func() error { return ready(t.Context()) })
}
