package deploy

import (
	"bytes"
	"fmt"
	"regexp"

	"gopkg.in/yaml.v3"
)

// Metric is what one of the programs exports to Prometheus.
type Metric struct {
	Name string
	Type string // counter, gauge or histogram
	Help string
	// Labels are regular expressions that all values match, by the names of the labels.
	Labels map[string]string
	// Unit is what a dashboard shows; its words are those of metrics.yaml.
	Unit string
	// By are the programs that export it: command, query, replicator, or exporter for our queries of the nodes.
	By []string `yaml:"-"`
	// Group is the heading under which it is shown; "" if it is not ours.
	Group string `yaml:"-"`
	// Alerts are the names of the alerts that use it.
	Alerts []string `yaml:"-"`
}

// Metrics are the metrics of our own, in the order of the table.
func Metrics() ([]Metric, error) {
	own, _, err := readMetrics()
	return own, err
}

// OtherMetrics are those of other programs that the alerts use.
func OtherMetrics() ([]Metric, error) {
	_, others, err := readMetrics()
	return others, err
}

type section struct {
	By      []string
	Group   string
	Metrics []Metric
}

func readMetrics() (own, others []Metric, err error) {
	var table struct{ Own, Others []section }
	if err := readTable("metrics.yaml", &table); err != nil {
		return nil, nil, err
	}
	alerts, err := Alerts()
	if err != nil {
		return nil, nil, err
	}
	return collect(table.Own, alerts), collect(table.Others, alerts), nil
}

// readTable reads a file of the folder prometheus. A field that is not known is an error.
func readTable(name string, into any) error {
	text, err := templates.ReadFile("prometheus/" + name)
	if err != nil {
		return err
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func collect(sections []section, alerts []Alert) (list []Metric) {
	for _, s := range sections {
		for _, m := range s.Metrics {
			m.By, m.Group = s.By, s.Group
			for _, a := range alerts {
				if a.uses(m) {
					m.Alerts = append(m.Alerts, a.Name)
				}
			}
			list = append(list, m)
		}
	}
	return list
}

// Alert is an alerting rule.
type Alert struct {
	Name, Expr, For  string
	Severity         string // page: somebody must act now; warn: within the day
	Summary, Runbook string
}

// Alerts are all alerting rules, in their order.
func Alerts() (list []Alert, err error) {
	for _, name := range rules {
		some, err := alertsOf(name)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

func alertsOf(file string) (list []Alert, err error) {
	var read struct {
		Groups []struct {
			Name     string
			Interval string
			Rules    []struct {
				Alert, Record, Expr, For string
				Labels, Annotations      map[string]string
			}
		}
	}
	if err := readTable(file, &read); err != nil {
		return nil, err
	}
	for _, g := range read.Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				list = append(list, Alert{Name: r.Alert, Expr: r.Expr, For: r.For, Severity: r.Labels["severity"],
					Summary: r.Annotations["summary"], Runbook: r.Annotations["runbook"]})
			}
		}
	}
	return list, nil
}

// words are what an expression may name as a metric.
var words = regexp.MustCompile(`[a-z_][a-z0-9_]*`)

func (a Alert) uses(m Metric) bool {
	for _, word := range words.FindAllString(a.Expr, -1) {
		if word == m.Name || m.Type == "histogram" && (word == m.Name+"_bucket" || word == m.Name+"_count" || word == m.Name+"_sum") {
			return true
		}
	}
	return false
}
