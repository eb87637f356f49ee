package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// alerts is what Prometheus says during a drill. It is safe for concurrent use.
type alerts struct {
	mu     sync.Mutex
	firing map[string]string    // the alerts that fire now, with their severities
	fired  map[string]string    // those that have fired since the drill began
	since  map[string]time.Time // when they were first seen to fire
	asked  time.Time            // when Prometheus answered last
}

// page is the severity of an alert that somebody must act on now.
const page = "page"

const (
	alertsEvery = 500 * time.Millisecond
	// alertTime bounds the wait for an alert to fire or to end. The slowest needs a minute, and then as long for its figures to
	// pass.
	alertTime = 3 * time.Minute
)

// saw takes an answer of Prometheus.
func (a *alerts) saw(firing map[string]string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fired == nil {
		a.fired, a.since = map[string]string{}, map[string]time.Time{}
	}
	a.firing, a.asked = firing, now
	for name, severity := range firing {
		if a.fired[name] == "" {
			a.fired[name], a.since[name] = severity, now
		}
	}
}

// forget begins anew with a drill.
func (a *alerts) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fired, a.since = nil, nil
}

// now are the alerts that fire, and ever those that have fired, with their severities.
func (a *alerts) state() (now, ever map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.firing), maps.Clone(a.fired)
}

// watchAlerts asks Prometheus until ctx ends. A drill may have killed it, so that no answer is no fault.
func (s *stage) watchAlerts(ctx context.Context) {
	last := ""
	for {
		if firing, err := s.askPrometheus(ctx); err == nil {
			s.alerts.saw(firing, time.Now())
			if text := strings.Join(slices.Sorted(maps.Keys(firing)), ", "); text != last {
				last = text
				s.story.say("alerts: %s", text)
			}
		}
		if sleep.For(ctx, alertsEvery) != nil {
			return
		}
	}
}

// askPrometheus returns the alerts that fire, with their severities.
func (s *stage) askPrometheus(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Prometheus+"/api/v1/alerts", nil)
	if err != nil {
		return nil, err
	}
	w, err := s.feeds.Do(r)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	var answer struct {
		Status string
		Data   struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	if err := json.NewDecoder(w.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("prometheus: status %q", answer.Status)
	}
	firing := map[string]string{}
	for _, one := range answer.Data.Alerts {
		if one.State == "firing" {
			firing[one.Labels["alertname"]] = one.Labels["severity"]
		}
	}
	return firing, nil
}

// fires waits until the alerts fire. Their names may be followed by the longest time that this may take, which counts from
// the step before.
func (s *stage) fires(ctx context.Context, words []string) error {
	begun, bound := time.Now(), time.Duration(0)
	if d, err := time.ParseDuration(words[len(words)-1]); err == nil {
		words, bound = words[:len(words)-1], d*time.Duration(max(s.drill.slack, 1))
	}
	err := await(ctx, alertTime, "alerts to fire", func() string {
		_, ever := s.alerts.state()
		for _, name := range words {
			if ever[name] == "" {
				return name + " does not"
			}
		}
		return ""
	})
	took := time.Since(begun)
	s.story.say("%s: after %.1f s", strings.Join(words, ", "), took.Seconds())
	if err == nil && bound > 0 && took > bound {
		err = fmt.Errorf("%v fired after %.1f s, %v at most", words, took.Seconds(), bound)
	}
	return err
}

// quiet waits until no page of an earlier drill fires.
func (s *stage) quiet(ctx context.Context) error {
	if s.Prometheus == "" {
		return nil
	}
	err := await(ctx, alertTime, "alerts to end", func() string {
		firing, err := s.askPrometheus(ctx)
		if err != nil {
			return err.Error()
		}
		return strings.Join(pages(firing), ", ")
	})
	s.alerts.forget()
	return err
}

// pages are the names of those that somebody must act on.
func pages(alerts map[string]string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(alerts)) {
		if alerts[name] == page {
			names = append(names, name)
		}
	}
	return names
}

// judgeAlerts waits until the alerts of the drill have ended, and faults every page that the drill does not name. On a slow
// machine outages are longer, so that further pages are right; they are told only.
func (s *stage) judgeAlerts(ctx context.Context) {
	if s.Prometheus == "" {
		return
	}
	err := await(ctx, alertTime, "alerts to end", func() string {
		firing, _ := s.alerts.state()
		var open []string
		for name := range firing {
			if firing[name] == page || slices.Contains(s.drill.Alerts(), name) {
				open = append(open, name)
			}
		}
		slices.Sort(open)
		return strings.Join(open, ", ")
	})
	_, ever := s.alerts.state()
	s.result.Alerts = slices.Sorted(maps.Keys(ever))
	for _, name := range pages(ever) {
		if !slices.Contains(s.drill.Alerts(), name) && !slices.Contains(s.drill.May, name) {
			if s.drill.slack <= 1 {
				err = errors.Join(err, fmt.Errorf("the alert %s fired, which the drill does not name", name))
			} else {
				s.story.say("the alert %s fired, which the drill does not name", name)
			}
		}
	}
	if err != nil {
		s.result.fault("%v", err)
	}
}

// Alerts are those that the drill waits for.
func (d Drill) Alerts() (names []string) {
	for _, step := range d.Steps {
		words := strings.Fields(step)
		if words[0] != "fires" {
			continue
		}
		for _, word := range words[1:] {
			if _, err := time.ParseDuration(word); err != nil {
				names = append(names, word)
			}
		}
	}
	return names
}
