package primary

import (
	"strings"
	"testing"
	"time"

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
		if config.ConnConfig.ValidateConnect == nil || config.MaxConns != 16 {
			t.Errorf("%s: validated %v, %d connections", good, config.ConnConfig.ValidateConnect != nil, config.MaxConns)
		}
	}
	if config, err := ParseURL("postgres://localhost/pyramid?pool_max_conns=3"); err != nil || config.MaxConns != 3 {
		t.Errorf("pool_max_conns=3: %v", err)
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

// W1: nothing that is set for the role or the server makes a commit answer before its flush.
func TestSessionIsDurable_W1(t *testing.T) {
	db := testenv.NewDatabase(t)
	db.Exec(t, "ALTER ROLE command IN DATABASE "+db.Name+" SET synchronous_commit = off")
	pool, err := Open(db.URL("command"), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for name, want := range map[string]string{"synchronous_commit": "on", "statement_timeout": "1500ms", "application_name": "command"} {
		var got string
		if err := pool.QueryRow(t.Context(), "SELECT current_setting($1)", name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
}

func TestWritableFollowsTheServer(t *testing.T) {
	first := testenv.StartPostgres(t)
	standby := first.StartStandby(t)
	url := "postgres://command:command@" + standby.Addr() + "," + first.Addr() + "/pyramid?sslmode=disable"
	first.Stop(t)
	pool, err := Open(url, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	ready := Writable(pool)
	if err := ready(t.Context()); err == nil {
		t.Error("ready with a standby alone")
	}
	first.Start(t)
	testenv.EventuallyNoError(t, 10*time.Second, "ready again", func() error { return ready(t.Context()) })
	first.Kill(t)
	standby.Promote(t)
	testenv.EventuallyNoError(t, 10*time.Second, "ready on the promoted standby", func() error { return ready(t.Context()) })
}
