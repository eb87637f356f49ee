package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// While the standby is away, its paths lead to the primary. They are back within seconds of its return, and meanwhile
// the servers are not flooded with connections.
func TestReadsGoBackToTheStandby(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	c := s.config()
	c.StandbyURL = testenv.MultiHostURL(s.standby.URL("query"), s.primary.URL("query")) + "&target_session_attrs=prefer-standby"
	s.url = s.serve(t, c)
	paths := []string{"replica", "standby"}
	from := func(path string) string { return s.get(t, someBids, "Read-Path", path).path() }
	for _, path := range paths {
		testenv.Eventually(t, patience, path+" answers", func() bool { return from(path) == path })
	}
	s.standby.Stop(t)
	for _, path := range paths {
		testenv.Eventually(t, patience, "the primary answers for "+path, func() bool { return from(path) == "primary" })
	}
	sessions := func() (n int64) {
		if err := s.sql.QueryRow(t.Context(), "SELECT sessions FROM pg_stat_database WHERE datname = current_database()").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const away = 4 * time.Second
	before := sessions()
	for began := time.Now(); time.Since(began) < away; {
		for _, path := range paths {
			if a := s.get(t, someBids, "Read-Path", path); a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		}
	}
	// pgpool-II, the watch and the test make some as well.
	if n := sessions() - before; n > 80 {
		t.Errorf("%d connections to the primary within %v", n, away)
	}
	s.standby.Start(t)
	s.standby.WaitReplay(t)
	returned := time.Now()
	for _, path := range paths {
		good := 0
		testenv.Eventually(t, patience, path+" answers again, each time", func() bool {
			s.beat(t)
			if from(path) != path {
				good = 0
			} else {
				good++
			}
			return good == 20
		})
		t.Logf("%s is back after %v", path, time.Since(returned))
	}
}
