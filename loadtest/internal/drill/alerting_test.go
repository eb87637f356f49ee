package drill

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The runbook says for each alert in which drills it fires, or that there is none.
func TestTheRunbookNamesTheDrillsOfEachAlert(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Alerts\n")
	section, _, _ = strings.Cut(section, "\n## ")
	entries := strings.Split(section, "\n### ")[1:]
	if len(entries) < 30 {
		t.Fatalf("%d entries", len(entries))
	}
	known := map[string]bool{}
	for _, entry := range entries {
		name, rest, _ := strings.Cut(entry, "\n")
		known[name] = true
		found := regexp.MustCompile(`Drill: (.*?)\.?$`).FindStringSubmatch(strings.Join(strings.Fields(rest), " "))
		if found == nil {
			t.Errorf("%s: the runbook does not say which drill it is of", name)
			continue
		}
		var want []string
		for _, d := range All {
			if slices.Contains(d.Alerts(), name) {
				want = append(want, d.Name)
			}
		}
		got := strings.Split(found[1], "; ")
		if none, _, _ := strings.Cut(got[0], ","); none == "none" {
			got = nil
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the runbook names the drills %q, there are %q", name, got, want)
		}
	}
	for _, d := range All {
		for _, name := range append(d.Alerts(), d.May...) {
			if !known[name] {
				t.Errorf("%s names the alert %s, which the runbook does not have", d.Name, name)
			}
		}
	}
}

// A page that a drill neither names nor allows is a fault. On a slow machine those of a long outage are none.
func TestOnlyNamedPagesMayFire(t *testing.T) {
	d := failure("x", "freeze a", "fires A B 15s", "fires C").may("D")
	if got := d.Alerts(); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("named are %v", got)
	}
	fired := map[string]string{"A": page, "B": "warn", "D": page, "E": page, "F": "warn", "RedisDown": page}
	for slack, want := range map[int][]string{0: {"E", "RedisDown"}, 1: {"E", "RedisDown"}, 4: {"E"}} {
		if got := d.slower(slack).unnamed(fired); !slices.Equal(got, want) {
			t.Errorf("slack %d: faults are %v, want %v", slack, got, want)
		}
	}
}

// A drill ends when its pages and the alerts that it names have ended. What a Prometheus that is gone has said last does not count.
func TestADrillWaitsForItsAlertsToEnd(t *testing.T) {
	d, begun := failure("x", "fires A"), time.Now()
	for _, c := range []struct {
		firing map[string]string
		asked  time.Duration
		want   string
	}{
		{map[string]string{}, -time.Second, "Prometheus does not answer"},
		{map[string]string{}, time.Second, ""},
		{map[string]string{"A": "warn", "B": page, "C": "warn"}, time.Second, "A, B"},
		{map[string]string{"C": "warn"}, time.Second, ""},
	} {
		var a alerts
		a.saw(c.firing, begun.Add(c.asked))
		if got := a.lasts(d, begun); got != c.want {
			t.Errorf("%v: %q lasts, want %q", c.firing, got, c.want)
		}
	}
}

// "fires" waits for alerts as Prometheus tells them, from the drill on, and has a bound. One that is pending does not fire.
func TestFiresWaitsForPrometheus(t *testing.T) {
	var asked atomic.Int32
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		state := "pending"
		switch n := asked.Add(1); {
		case n == 1: // it is left over from the drill before
			state = "firing"
		case n == 2:
			_, _ = io.WriteString(w, `{"status":"success","data":{"alerts":[]}}`)
			return
		case n > 4:
			state = "firing"
		}
		_, _ = io.WriteString(w, `{"status":"success","data":{"alerts":[{"state":"`+state+`","labels":{"alertname":"A","severity":"warn"}}]}}`)
	}))
	defer prometheus.Close()
	shared := &set{Config: Config{Prometheus: prometheus.URL}, feeds: prometheus.Client()}
	s := &stage{load: &load{set: shared, story: newStory(time.Now())}, drill: failure("x", "fires A")}
	if err := s.quiet(t.Context()); err != nil || asked.Load() < 2 {
		t.Fatal(err, asked.Load())
	}
	ctx, end := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() { defer close(watched); s.watchAlerts(ctx) }()
	defer func() { end(); <-watched }()
	if err := s.fires(t.Context(), []string{"A", "1ns"}); err == nil || !strings.Contains(err.Error(), "1ns at most") || asked.Load() < 5 {
		t.Errorf("%v after %d answers", err, asked.Load())
	}
	if err := s.fires(t.Context(), []string{"A", "1h"}); err != nil {
		t.Error(err)
	}
}
