package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/drill"
)

// ctl makes a program with the verbs that the drills of the tests need. Its nodes are always whole.
func (s *stack) ctl(t *testing.T) drill.Ctl {
	t.Helper()
	const common = `"witness":true,"leader":"node1","in_sync":true,"following":true`
	text := `#!/bin/sh
case $1 in
programs) echo postgres-1 postgres-2 redis command-1 ;;
roles) echo primary postgres-1; echo standby postgres-2 ;;
nodes|watch)
	echo '{"node":"node1","role":"primary","writable":true,"waits":true,` + common + `} {"node":"node2","role":"standby",` + common + `}'
	[ $1 = nodes ] || exec tail -f /dev/null ;;
freeze) kill -STOP ` + fmt.Sprint(s.command.PID()) + ` ;;
thaw) kill -CONT ` + fmt.Sprint(s.command.PID()) + ` ;;
verify) PRIMARY_URL='` + s.primary.URL("replicator") + `' REDIS_URL='` + s.redis.URL() + `' exec ` + testenv.Binary(t, "./replicator") + ` verify ;;
*) echo "unknown verb $1" >&2; exit 1 ;;
esac
`
	path := filepath.Join(t.TempDir(), "ctl")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return drill.Ctl{Path: path}
}

// drills runs drills against url and returns their results.
func (s *stack) runDrills(t *testing.T, url string, drills ...drill.Drill) (results []drill.Result) {
	t.Helper()
	for i := range drills {
		drills[i].Writes, drills[i].Reads = time.Minute, time.Minute
	}
	var table bytes.Buffer
	set, err := drill.Run(t.Context(), drill.Config{URL: url, Database: s.primary.URL("replicator"), Redis: s.redis.URL(), Ctl: s.ctl(t),
		Rates: drill.Rates{Bids: 50, Reads: 50}, Drills: drills, Out: &table})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(table.String())
		}
	})
	var page bytes.Buffer
	if err := set.Report().WriteHTML(&page); err != nil || !strings.Contains(page.String(), drills[0].Name) {
		t.Errorf("the report lacks the drill: %v", err)
	}
	return set.Results
}

// Bids in doubt turn out to be committed, Redis is emptied, and nothing is lost; a step that fails is told.
func (s *stack) drills(t *testing.T) {
	results := s.runDrills(t, s.url,
		drill.Drill{Name: "freeze and flush", Steps: []string{"freeze command-1", "wait 1s", "thaw command-1", "flush", "wait 500ms"}},
		drill.Drill{Name: "not here", Steps: []string{"kill command-2"}})
	r := results[0]
	if !r.Passed() || r.Acknowledged < 50 || r.Leaders != 1 || r.NoWrites < time.Second || r.Paths["redis"] == 0 {
		t.Errorf("%+v", r)
	}
	if results[1].Skipped == "" || results[1].Passed() {
		t.Errorf("%+v", results[1])
	}
}

// A drill fails if the system acknowledges bids that it has not, or shows one that is not there.
func (s *stack) plantedInDrill(t *testing.T) {
	lose := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Commit-LSN", "0/1")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"id":%d,"raffle_id":901}`, time.Now().UnixNano())
	}
	r := s.runDrills(t, faulty(t, s.url, 60, lose), drill.Drill{Name: "planted", Steps: []string{"wait 10ms", "dance"}})[0]
	if r.Skipped == "" {
		t.Errorf("%+v", r)
	}
	r = s.runDrills(t, faulty(t, s.url, 60, lose), drill.Drill{Name: "planted", Steps: []string{"wait 10ms"}})[0]
	if r.Passed() || r.Lost == 0 || r.Wrong == 0 || r.Doubled != 0 {
		t.Errorf("%+v", r)
	}
}
