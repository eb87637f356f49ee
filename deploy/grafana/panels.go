// Package grafana makes the dashboard for Grafana from the table of metrics and from panels.yaml, which says what is shown first.
package grafana

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

//go:embed panels.yaml
var panelsFile []byte

// row is a heading and its panels. A closed row shows its heading only until it is opened.
type row struct {
	Title  string
	Panels []panel
	closed bool
}

// panel is described in panels.yaml.
type panel struct {
	Title, Type, Unit, Text string
	Queries                 []query
	rate                    bool // it shows units per second
}

type query struct{ Rate, Quantiles, Max, Expr, Legend, By, Where string }

// readRows reads panels.yaml, which may show others' metrics, too, and adds a closed row for each group of our own that no panel
// shows.
func readRows(own, others []deploy.Metric) ([]row, error) {
	var file struct{ Rows []row }
	decoder := yaml.NewDecoder(bytes.NewReader(panelsFile))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("panels.yaml: %w", err)
	}
	table := map[string]deploy.Metric{}
	for _, m := range slices.Concat(own, others) {
		table[m.Name] = m
	}
	var errs []error
	shown := map[string]bool{}
	for _, r := range file.Rows {
		for i := range r.Panels {
			errs = append(errs, r.Panels[i].complete(table, shown))
		}
	}
	return append(file.Rows, rest(own, shown)...), errors.Join(errs...)
}

var metricName = regexp.MustCompile(`[a-z_][a-z0-9_]*`)

// base is the name of the histogram that a series belongs to, or the name itself.
func base(name string, table map[string]deploy.Metric) string {
	for _, suffix := range []string{"_count", "_sum", "_bucket"} {
		if stem := strings.TrimSuffix(name, suffix); table[stem].Type == "histogram" {
			return stem
		}
	}
	return name
}

// complete gives the panel the unit and the text of the first metric that it shows, and notes what is shown.
func (p *panel) complete(table map[string]deploy.Metric, shown map[string]bool) error {
	if len(p.Queries) == 0 {
		return fmt.Errorf("panel %q shows nothing", p.Title)
	}
	for _, q := range p.Queries {
		for _, word := range metricName.FindAllString(q.Rate+" "+q.Quantiles+" "+q.Max+" "+q.Expr, -1) {
			name := base(word, table)
			m, known := table[name]
			if !known {
				continue
			}
			shown[name] = true
			if p.Text == "" {
				p.Text = m.Help
			}
			if p.Unit == "" {
				p.Unit = m.Unit
				if q.Rate != "" && m.Type == "histogram" {
					p.Unit = "requests"
				}
			}
		}
		p.rate = p.rate || q.Rate != ""
	}
	if p.Unit == "" || p.Text == "" {
		return fmt.Errorf("panel %q shows no metric of the table, and has no unit or no text of its own", p.Title)
	}
	return nil
}

// rest are closed rows with a panel for each metric that is not shown yet, in the order of the table.
func rest(metrics []deploy.Metric, shown map[string]bool) (rows []row) {
	for _, m := range metrics {
		if shown[m.Name] {
			continue
		}
		i := slices.IndexFunc(rows, func(r row) bool { return r.Title == "More: "+m.Group })
		if i < 0 {
			i = len(rows)
			rows = append(rows, row{Title: "More: " + m.Group, closed: true})
		}
		p := panel{Title: m.Name, Unit: m.Unit, Text: m.Help, Queries: []query{usual(m)}, rate: m.Type == "counter"}
		rows[i].Panels = append(rows[i].Panels, p)
	}
	return rows
}

// usual is how a metric is shown that nobody has thought about.
func usual(m deploy.Metric) query {
	labels := make([]string, 0, len(m.Labels)+1)
	for label := range m.Labels {
		labels = append(labels, label)
	}
	sort.Strings(labels)
	switch m.Type {
	case "counter":
		return query{Rate: m.Name, By: strings.Join(labels, ",")}
	case "histogram":
		return query{Quantiles: m.Name}
	}
	program := "instance"
	if slices.Contains(m.By, "exporter") {
		program = "node"
	}
	return query{Max: m.Name, By: strings.Join(append([]string{program}, labels...), ",")}
}

// target is one query of a panel, as Grafana has it.
type target struct{ expr, legend string }

// targets are what Prometheus is asked for the panel.
func (p panel) targets() (list []target) {
	for _, q := range p.Queries {
		by := ""
		if q.By != "" {
			by = "by (" + strings.ReplaceAll(q.By, ",", ", ") + ") "
		}
		where := ""
		if q.Where != "" {
			where = "{" + q.Where + "}"
		}
		scale := ""
		if p.Unit == "time" { // Grafana counts milliseconds
			scale = "1000 * "
		}
		switch {
		case q.Rate != "":
			list = append(list, target{fmt.Sprintf("sum %s(rate(%s%s[$__rate_interval]))", by, q.Rate, where), p.legend(q, q.Rate)})
		case q.Max != "":
			list = append(list, target{fmt.Sprintf("%smax %s(%s%s)", scale, by, q.Max, where), p.legend(q, q.Max)})
		case q.Quantiles != "":
			for _, percent := range []int{50, 90, 99} {
				list = append(list, target{
					fmt.Sprintf("histogram_quantile(0.%d, sum by (le) (rate(%s_bucket%s[$__rate_interval])))", percent, q.Quantiles, where), fmt.Sprint("p", percent),
				})
			}
		default:
			list = append(list, target{q.Expr, q.Legend})
		}
	}
	return list
}

// legend names a series by the labels that are kept, and by its metric if the panel shows several.
func (p panel) legend(q query, metric string) string {
	var words []string
	if len(p.Queries) > 1 || q.By == "" {
		words = append(words, metric)
	}
	if q.By != "" {
		for label := range strings.SplitSeq(q.By, ",") {
			words = append(words, "{{"+label+"}}")
		}
	}
	return strings.Join(words, " ")
}
