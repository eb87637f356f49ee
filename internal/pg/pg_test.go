package pg_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func TestHostsOfAConnectionString(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://a/x?sslmode=disable":               "a:5432 +0",
		"postgres://a:1,b:2/x?sslmode=disable":         "a:1 +0 b:2 +0",
		"postgres://a:1,b:2/x?sslmode=prefer":          "a:1 +1 b:2 +1", // with TLS and without
		"postgres://a:1,a:2,[::1]:1/x?sslmode=disable": "a:1 +0 a:2 +0 [::1]:1 +0",
		"postgres://a:1,b:2,a:1/x?sslmode=disable":     "a:1 +0 b:2 +0 a:1 +0",
		"host=a,b port=1 dbname=x sslmode=disable":     "a:1 +0 b:1 +0",
	} {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, h := range pg.Hosts(config) {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%s +%d", pg.Address(h), len(h.Fallbacks))
		}
		if got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestIdentityOfAPrimaryAndItsStandby(t *testing.T) {
	p := testenv.StartPostgres(t)
	s := p.StartStandby(t)
	var is [2]pg.Identity
	for i, url := range []string{p.URL("replicator"), s.URL("replicator")} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if is[i], err = pg.Identify(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
	}
	if is[0].System == 0 || is[0].System != is[1].System || is[0].Timeline != 1 || is[1].Timeline != 0 || is[0].Closed || !is[1].Closed || is[0].Started >= is[1].Started {
		t.Errorf("primary %+v, standby %+v", is[0], is[1])
	}
}

// P10: a server is overtaken by a higher timeline of its own system only.
func TestTimelines_P10(t *testing.T) {
	var seen pg.Timelines
	first, second, other := pg.Identity{System: 1, Timeline: 1}, pg.Identity{System: 1, Timeline: 2}, pg.Identity{System: 2, Timeline: 1}
	if seen.Overtaken(first) {
		t.Error("overtaken by nobody")
	}
	for _, i := range []pg.Identity{second, first, other} {
		seen.Note(i)
	}
	if !seen.Overtaken(first) || seen.Overtaken(second) || seen.Overtaken(other) {
		t.Errorf("overtaken: %v %v %v", seen.Overtaken(first), seen.Overtaken(second), seen.Overtaken(other))
	}
}

func TestAClosedPrimaryShows(t *testing.T) {
	p := testenv.StartPostgres(t)
	p.Configure(t, testenv.Set("default_transaction_read_only", "on"))
	conn, err := pgx.Connect(t.Context(), p.URL("command"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if is, err := pg.Identify(t.Context(), conn); err != nil || !is.Closed || is.Timeline != 1 {
		t.Errorf("%+v, %v", is, err)
	}
}

func TestCodes(t *testing.T) {
	refused := fmt.Errorf("write: %w", &pgconn.PgError{Code: pg.LockNotAvailable})
	for _, c := range []struct {
		err   error
		codes []string
		want  bool
	}{
		{refused, []string{pg.LockNotAvailable}, true},
		{refused, []string{pg.UndefinedTable, pg.LockNotAvailable}, true},
		{refused, []string{pg.UndefinedTable}, false},
		{refused, nil, false},
		{errors.New("x"), []string{pg.LockNotAvailable}, false},
		{errors.New("x"), []string{""}, false},
		{nil, []string{pg.LockNotAvailable}, false},
	} {
		if got := pg.HasCode(c.err, c.codes...); got != c.want {
			t.Errorf("%v has one of %q: %v", c.err, c.codes, got)
		}
	}
	if pg.Class(pg.Code(refused)) != pg.NotInPrerequisiteState || pg.Class(pg.Code(errors.New("x"))) != "" {
		t.Errorf("classes %q, %q", pg.Class(pg.Code(refused)), pg.Class(pg.Code(errors.New("x"))))
	}
}
