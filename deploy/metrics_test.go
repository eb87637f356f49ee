package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// Names follow the conventions of Prometheus, and no name is there twice.
func TestNamesOfMetrics(t *testing.T) {
	own, err := Metrics()
	if err != nil {
		t.Fatal(err)
	}
	units := regexp.MustCompile(`^(bids|bool|bytes|connections|count|keys|lookups|parts|requests|rows|seconds|time)$`)
	seen := map[string]bool{}
	for _, m := range own {
		if seen[m.Name] {
			t.Errorf("%s is there twice", m.Name)
		}
		seen[m.Name] = true
		if !regexp.MustCompile(`^(command|query|replicator|readmodel|http|service|heartbeat|heartbeats|pg_node|pg_slot)_[a-z0-9_]+$`).MatchString(m.Name) {
			t.Errorf("%s says by its name neither whose it is nor what it counts", m.Name)
		}
		if (m.Type == "counter") != strings.HasSuffix(m.Name, "_total") || m.Type != "counter" && m.Type != "gauge" && m.Type != "histogram" {
			t.Errorf("%s is a %s", m.Name, m.Type)
		}
		if m.Help == "" || m.Group == "" || len(m.By) == 0 || !units.MatchString(m.Unit) {
			t.Errorf("%s lacks something: %+v", m.Name, m)
		}
		for label, values := range m.Labels {
			if _, err := regexp.Compile(values); err != nil {
				t.Errorf("%s, label %s: %v", m.Name, label, err)
			}
		}
	}
	if len(seen) < 80 {
		t.Errorf("only %d metrics", len(seen))
	}
}

// An alert uses metrics that the table has, has an entry in the runbook, and leads there.
func TestEveryAlertIsInTheRunbook(t *testing.T) {
	own, others, err := readMetrics()
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, m := range append(own, others...) {
		for _, a := range m.Alerts {
			used[a] = true
		}
	}
	for _, m := range others {
		if len(m.Alerts) == 0 {
			t.Errorf("no alert uses %s", m.Name)
		}
	}
	runbook, err := os.ReadFile("RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	entries := regexp.MustCompile(`(?m)^### (\w+)\n\n\S`).FindAllStringSubmatch(string(runbook), -1)
	described := map[string]bool{}
	for _, e := range entries {
		described[e[1]] = true
	}
	alerts, err := Alerts()
	if err != nil || len(alerts) < 30 {
		t.Fatalf("%d alerts, %v", len(alerts), err)
	}
	for _, a := range alerts {
		if !used[a.Name] {
			t.Errorf("%s uses no metric of the table", a.Name)
		}
		if !described[a.Name] {
			t.Errorf("RUNBOOK.md has no entry %s", a.Name)
		}
		if a.Runbook != "deploy/RUNBOOK.md#"+strings.ToLower(a.Name) || a.Summary == "" || a.Severity != "page" && a.Severity != "warn" {
			t.Errorf("%+v", a)
		}
	}
}

// The tests of testdata/alerts make each alert fire and end again.
func TestEveryAlertIsTested(t *testing.T) {
	alerts, err := Alerts()
	if err != nil {
		t.Fatal(err)
	}
	begins, ends := map[string]bool{}, map[string]bool{}
	paths, err := filepath.Glob("testdata/alerts/*.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		firing(t, path, begins, ends)
	}
	for _, a := range alerts {
		if !begins[a.Name] || !ends[a.Name] {
			t.Errorf("%s: fires in a test: %v, and then ends: %v", a.Name, begins[a.Name], ends[a.Name])
		}
	}
}

// firing reads a file of promtool tests. It adds to begins the alerts that a test expects to fire, and to ends those of them
// that the same test later expects to be over.
func firing(t *testing.T, path string, begins, ends map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Rules []struct {
				Name   string        `yaml:"alertname"`
				At     time.Duration `yaml:"eval_time"`
				Expect []any         `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, test := range file.Tests {
		began := map[string]time.Duration{}
		for _, r := range test.Rules {
			at, fired := began[r.Name]
			switch {
			case len(r.Expect) > 0:
				began[r.Name], begins[r.Name] = r.At, true
			case fired && r.At > at:
				ends[r.Name] = true
			}
		}
	}
}

func TestTheDocumentOfMetricsIsMade(t *testing.T) {
	want, err := MetricsDocument()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile("../docs/METRICS.md"); err != nil || string(got) != want {
		t.Errorf("docs/METRICS.md is stale, make generate makes it anew (%v)", err)
	}
}
