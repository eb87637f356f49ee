package deploy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const metricsHead = `# Metrics and alerts

Made by ` + "`make generate`" + ` from deploy/prometheus/metrics.yaml and rules-*.yml; a test holds the first against what the programs
export. Each program has its metrics at ` + "`/metrics`" + ` of its admin listener, beside those of Go's runtime and of the process (` + "`go_*`, `process_*`" + `).
A label's values are listed, or described by a regular expression, so they stay few: no id of a user, a raffle or a
request is a label. A histogram has ` + "`_bucket`, `_sum` and `_count`" + `. Prometheus adds the labels job (the program), instance (its
address) and, to those of a node, node; the exporter of a node adds server.

What to do about an alert is in [RUNBOOK](../deploy/RUNBOOK.md#alerts).
`

// MetricsDocument is docs/METRICS.md.
func MetricsDocument() (string, error) {
	own, others, err := readMetrics()
	if err != nil {
		return "", err
	}
	alerts, err := Alerts()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(metricsHead)
	group := ""
	for _, m := range sorted(own) {
		if m.Group != group {
			group = m.Group
			fmt.Fprintf(&b, "\n## %s\n\n| name | type | labels | by | meaning | alerts |\n|---|---|---|---|---|---|\n", group)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", m.Name, m.Type, m.labelText(), strings.Join(m.By, ", "), cell(m.Help), alertLinks(m.Alerts))
	}
	b.WriteString("\n## Of other programs\n\nThe alerts use these, too.\n\n| name | type | of | meaning | alerts |\n|---|---|---|---|---|\n")
	for _, m := range others {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.By, ", "), cell(m.Help), alertLinks(m.Alerts))
	}
	b.WriteString("\n## Alerts\n\npage: somebody must act now; warn: within the day.\n\n| alert | severity | after | says |\n|---|---|---|---|\n")
	for _, a := range alerts {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", alertLinks([]string{a.Name}), a.Severity, cmp.Or(a.For, "at once"), cell(a.Summary))
	}
	return b.String(), nil
}

// sorted keeps the order of the groups' first metrics, and brings the metrics of a group together.
func sorted(list []Metric) []Metric {
	first := map[string]int{}
	for i, m := range list {
		if _, known := first[m.Group]; !known {
			first[m.Group] = i
		}
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Metric) int { return first[a.Group] - first[b.Group] })
	return list
}

func (m Metric) labelText() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
		parts = append(parts, fmt.Sprintf("%s: %s", name, code(m.Labels[name])))
	}
	return strings.Join(parts, "<br>")
}

// code lists plain alternatives as words, and shows any other expression as code.
func code(expression string) string {
	if strings.ContainsAny(expression, `[]()*+?{}\`) {
		return "`" + cell(expression) + "`"
	}
	return strings.ReplaceAll(expression, "|", ", ")
}

// cell is a text in a table of Markdown.
func cell(text string) string { return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text) }

func alertLinks(names []string) string {
	links := make([]string, len(names))
	for i, name := range names {
		links[i] = fmt.Sprintf("[%s](../deploy/RUNBOOK.md#%s)", name, strings.ToLower(name))
	}
	return strings.Join(links, ", ")
}
