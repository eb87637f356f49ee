package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

func made(t *testing.T) []byte {
	t.Helper()
	text, err := Dashboard()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheDashboardIsCurrent(t *testing.T) {
	committed, err := os.ReadFile("stock-pyramid.json")
	if err != nil {
		t.Fatal(err)
	}
	if text := made(t); !bytes.Equal(text, committed) || !bytes.Equal(text, made(t)) {
		t.Error("stock-pyramid.json is not what make generate makes")
	}
}

// jsonPanel is what Grafana needs of a panel.
type jsonPanel struct {
	ID          int
	Type, Title string
	Description string
	Collapsed   bool
	Panels      []jsonPanel
	GridPos     struct{ X, Y, W, H int }
	Datasource  struct{ Type, UID string }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

func panelsOf(t *testing.T) (open, closed []jsonPanel) {
	t.Helper()
	var board struct{ Panels []jsonPanel }
	if err := json.Unmarshal(made(t), &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		open = append(open, p)
		closed = append(closed, p.Panels...)
	}
	return open, closed
}

// Panels have numbers of their own and stand in the grid without covering each other.
func TestPanelsStandBesideEachOther(t *testing.T) {
	open, closed := panelsOf(t)
	if len(open) < 50 || len(closed) < 10 {
		t.Fatalf("%d panels, %d in closed rows", len(open), len(closed))
	}
	numbers, taken := map[int]string{}, map[[2]int]string{}
	for _, p := range append(open, closed...) {
		if other, twice := numbers[p.ID]; twice || p.ID < 1 {
			t.Errorf("%q and %q have the number %d", p.Title, other, p.ID)
		}
		numbers[p.ID] = p.Title
		if at := p.GridPos; at.X < 0 || at.W < 1 || at.H < 1 || at.X+at.W > 24 {
			t.Errorf("%q stands at %+v", p.Title, at)
		}
	}
	for _, p := range open {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, is := taken[[2]int{x, y}]; is {
					t.Fatalf("%q covers %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// Each panel says what it shows, in which unit, and where from.
func TestPanelsAreComplete(t *testing.T) {
	open, closed := panelsOf(t)
	for _, p := range append(open, closed...) {
		if p.Type != "row" && (p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0) {
			t.Errorf("incomplete: %+v", p)
		}
		for i, target := range p.Targets {
			if target.RefID != string(rune('A'+i)) || target.LegendFormat == "" {
				t.Errorf("%q: %+v", p.Title, target)
			}
		}
	}
}

// Prometheus understands every query, and each metric of the table is shown.
func TestPrometheusUnderstandsEveryQuery(t *testing.T) {
	open, closed := panelsOf(t)
	var all strings.Builder
	rules := []map[string]string{{"record": "alerts", "expr": `ALERTS{alertstate="firing"}`}}
	for _, p := range append(open, closed...) {
		for i, target := range p.Targets {
			fmt.Fprintln(&all, target.Expr)
			rules = append(rules, map[string]string{
				"record": fmt.Sprintf("panel_%d_%d", p.ID, i), "expr": strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"),
			})
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "promtool", "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	metrics, err := deploy.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if !strings.Contains(all.String(), m.Name) {
			t.Errorf("no panel shows %s", m.Name)
		}
	}
}

// Panels that can't be made are reported.
func TestPanelsThatCannotBeMade(t *testing.T) {
	table := map[string]deploy.Metric{"known": {Name: "known", Type: "gauge", Unit: "bytes", Help: "Known."}}
	for what, p := range map[string]panel{
		"no query":             {Title: "p"},
		"a metric of no table": {Title: "p", Queries: []query{{Max: "unknown"}}},
	} {
		if err := p.complete(table, map[string]bool{}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	for what, p := range map[string]panel{
		"no legend":     {Unit: "bytes", Queries: []query{{Expr: "known"}}},
		"another type":  {Unit: "bytes", Type: "pie", Queries: []query{{Max: "known"}}},
		"a text's unit": {Unit: "a b", Queries: []query{{Max: "known"}}},
	} {
		if o, err := p.object(1, place(0, 0, 1, 1)); err == nil {
			t.Errorf("%s: %v and no error", what, o)
		}
	}
}

// A metric that no panel of panels.yaml shows is shown by its type, below the others.
func TestTheRestIsShownByType(t *testing.T) {
	rows := rest([]deploy.Metric{
		{Name: "shown", Type: "gauge", Unit: "count", Group: "A"},
		{Name: "seen_total", Type: "counter", Unit: "count", Group: "B", Labels: map[string]string{"b": "", "a": ""}},
		{Name: "took_seconds", Type: "histogram", Unit: "seconds", Group: "B"},
		{Name: "ended_timestamp_seconds", Type: "gauge", Unit: "time", Group: "A", By: []string{"exporter"}},
	}, map[string]bool{"shown": true})
	var got []string
	for _, r := range rows {
		for _, p := range r.Panels {
			got = append(got, r.Title+": "+p.targets()[0].expr)
		}
	}
	want := []string{
		"More: B: sum by (a, b) (rate(seen_total[$__rate_interval]))",
		"More: B: histogram_quantile(0.50, sum by (le) (rate(took_seconds_bucket[$__rate_interval])))",
		"More: A: 1000 * max by (node) (ended_timestamp_seconds)",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}
