package drill

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
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

// A page that a drill does not name is a fault, one that it names or allows is none.
func TestOnlyNamedPagesMayFire(t *testing.T) {
	d := failure("x", "freeze a", "fires A B 15s", "fires C").may("D")
	if got := d.Alerts(); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("named are %v", got)
	}
	if got := pages(map[string]string{"A": page, "B": "warn", "D": page}); !slices.Equal(got, []string{"A", "D"}) {
		t.Errorf("pages are %v", got)
	}
}
