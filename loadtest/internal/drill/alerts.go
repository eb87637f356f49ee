package drill

import (
	"context"
	"encoding/json"
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
	firing map[string]string // the alerts that fire now, with their severities
	fired  map[string]string // those that have fired since the drill began
	asked  time.Time         // when the last question that Prometheus answered was put
}

// page is the severity of an alert that somebody must act on now.
const page = "page"

const (
	alertsEvery = 500 * time.Millisecond
	// alertTime bounds the wait for an alert to fire or to end. The slowest fires after a minute and ends a minute after its cause.
	alertTime = 3 * time.Minute
)

// saw takes an answer of Prometheus, to a question that was put at a time.
func (a *alerts) saw(firing map[string]string, asked time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fired == nil {
		a.fired = map[string]string{}
	}
	a.firing, a.asked = firing, asked
	for name, severity := range firing {
		if a.fired[name] == "" {
			a.fired[name] = severity
		}
	}
}

// forget begins anew with a drill.
func (a *alerts) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.firing, a.fired, a.asked = nil, nil, time.Time{}
}

// ever are the alerts that have fired since the drill began, with their severities.
func (a *alerts) ever() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.fired)
}

// watchAlerts asks Prometheus until ctx ends. A drill may have killed it, so that no answer is no fault here.
func (s *stage) watchAlerts(ctx context.Context) {
	last := ""
	for {
		asked := time.Now()
		if firing, err := s.askPrometheus(ctx); err == nil {
			s.alerts.saw(firing, asked)
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
		ever := s.alerts.ever()
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

// quiet waits until no page of an earlier drill fires, nor an alert that this one waits for.
func (s *stage) quiet(ctx context.Context) error {
	if s.Prometheus == "" {
		return nil
	}
	err := await(ctx, alertTime, "alerts to end", func() string {
		firing, err := s.askPrometheus(ctx)
		if err != nil {
			return err.Error()
		}
		return strings.Join(s.drill.matters(firing), ", ")
	})
	s.alerts.forget()
	return err
}

// matters are those of the alerts that are pages or that the drill waits for, by name.
func (d Drill) matters(alerts map[string]string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(alerts)) {
		if alerts[name] == page || slices.Contains(d.Alerts(), name) {
			names = append(names, name)
		}
	}
	return names
}

// slow are alerts that any failure may cause on a slow machine, where outages last longer.
var slow = append([]string{"NoReplicatorStreams", "RedisDown", "LookupsFail"}, leaderless...)

// unnamed are the pages that the drill neither waits for nor allows, by name.
func (d Drill) unnamed(alerts map[string]string) (names []string) {
	for _, name := range d.matters(alerts) {
		if !slices.Contains(d.Alerts(), name) && !slices.Contains(d.May, name) && (d.slack <= 1 || !slices.Contains(slow, name)) {
			names = append(names, name)
		}
	}
	return names
}

// lasts says which alerts of the drill have not ended, as Prometheus knew after a time. "" means none.
func (a *alerts) lasts(d Drill, after time.Time) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.asked.After(after) {
		return "Prometheus does not answer"
	}
	return strings.Join(d.matters(a.firing), ", ")
}

// judgeAlerts waits until the alerts of the drill have ended, and faults every page that the drill does not name.
func (s *stage) judgeAlerts(ctx context.Context) {
	if s.Prometheus == "" {
		return
	}
	begun := time.Now()
	if err := await(ctx, alertTime, "alerts to end", func() string { return s.alerts.lasts(s.drill, begun) }); err != nil {
		s.result.fault("%v", err)
	}
	ever := s.alerts.ever()
	s.result.Alerts = slices.Sorted(maps.Keys(ever))
	for _, name := range s.drill.unnamed(ever) {
		s.result.fault("the alert %s fired, which the drill does not name", name)
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
