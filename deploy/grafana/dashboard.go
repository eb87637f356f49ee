package grafana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// The grid of a dashboard is 24 wide. Three panels stand beside each other.
const (
	width, panelWidth, panelHeight = 24, 8, 8
	schema                         = 38 // Grafana 10 and later
)

type object = map[string]any

// source is chosen on the dashboard.
var source = object{"type": "prometheus", "uid": "${datasource}"}

// Dashboard is the dashboard as the JSON that Grafana imports. It is the same for the same metrics.
func Dashboard() ([]byte, error) {
	own, err := deploy.Metrics()
	if err != nil {
		return nil, err
	}
	others, err := deploy.OtherMetrics()
	if err != nil {
		return nil, err
	}
	rows, err := readRows(own, others)
	if err != nil {
		return nil, err
	}
	l := layout{}
	for i, r := range rows {
		if err := l.row(r); err != nil {
			return nil, fmt.Errorf("row %d, %s: %w", i+1, r.Title, err)
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err = encoder.Encode(dashboard(l.panels))
	return out.Bytes(), err
}

func dashboard(panels []any) object {
	return object{
		"uid": "stock-pyramid", "title": "Stock Pyramid", "description": "Made by `make generate` from deploy/grafana/panels.yaml and deploy/prometheus/metrics.yaml.",
		"tags": []string{"stock-pyramid"}, "editable": false, "graphTooltip": 1, "schemaVersion": schema, "version": 1,
		"refresh": "5s", "timezone": "browser", "time": object{"from": "now-30m", "to": "now"}, "links": []any{}, "panels": panels,
		"templating": object{"list": []any{object{
			"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0, "multi": false, "includeAll": false, "refresh": 1, "regex": "", "options": []any{},
		}}},
		"annotations": object{"list": []any{object{
			"name": "Alerts", "datasource": source, "enable": true, "hide": false, "iconColor": "red", "expr": `ALERTS{alertstate="firing"}`,
			"titleFormat": "{{alertname}}", "textFormat": "{{severity}} {{job}} {{instance}} {{node}}", "step": "15s", "useValueForTime": false,
		}}},
	}
}

// layout gives each panel its number and its place.
type layout struct {
	panels []any
	id, y  int
}

func (l *layout) row(r row) error {
	l.id++
	head := object{"id": l.id, "type": "row", "title": r.Title, "collapsed": r.closed, "gridPos": place(0, l.y, width, 1), "panels": []any{}}
	l.y++
	var within []any
	for i, p := range r.Panels {
		l.id++
		x, y := i%(width/panelWidth)*panelWidth, l.y+i/(width/panelWidth)*panelHeight
		shown, err := p.object(l.id, place(x, y, panelWidth, panelHeight))
		if err != nil {
			return fmt.Errorf("panel %q: %w", p.Title, err)
		}
		within = append(within, shown)
	}
	if r.closed { // its panels take no room
		head["panels"] = within
		l.panels = append(l.panels, head)
		return nil
	}
	l.panels = append(append(l.panels, head), within...)
	l.y += (len(r.Panels) + width/panelWidth - 1) / (width / panelWidth) * panelHeight
	return nil
}

func place(x, y, w, h int) object { return object{"x": x, "y": y, "w": w, "h": h} }

func (p panel) object(id int, at object) (object, error) {
	unit, err := p.unit()
	if err != nil {
		return nil, err
	}
	defaults := object{"unit": unit, "min": 0}
	if p.Unit == "bool" {
		defaults["max"], defaults["decimals"] = 1, 0
	}
	if p.Unit == "time" {
		delete(defaults, "min")
	}
	o := object{
		"id": id, "type": "timeseries", "title": p.Title, "description": p.Text, "datasource": source, "gridPos": at,
		"fieldConfig": object{"defaults": defaults, "overrides": []any{}},
		"options": object{
			"legend": object{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": object{"mode": "multi", "sort": "desc"},
		},
	}
	if p.Type == "stat" {
		o["type"] = "stat"
		o["options"] = object{"colorMode": "background", "graphMode": "area", "reduceOptions": object{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}
		defaults["thresholds"] = object{"mode": "absolute", "steps": []any{object{"color": "green", "value": nil}, object{"color": "red", "value": 1}}}
	} else if p.Type != "" {
		return nil, fmt.Errorf("there is no type %q", p.Type)
	}
	var targets []any
	for i, t := range p.targets() {
		if t.expr == "" || t.legend == "" {
			return nil, fmt.Errorf("query %d is empty or has no legend", i+1)
		}
		targets = append(targets, object{"refId": string(rune('A' + i)), "datasource": source, "expr": t.expr, "legendFormat": t.legend, "range": true, "editorMode": "code"})
	}
	o["targets"] = targets
	return o, nil
}

// unit is Grafana's name of a unit.
func (p panel) unit() (string, error) {
	switch {
	case strings.ContainsAny(p.Unit, " :"):
		return "", fmt.Errorf("%q is no unit", p.Unit)
	case p.rate && p.Unit == "bytes":
		return "binBps", nil
	case p.rate && p.Unit == "count":
		return "suffix:/s", nil
	case p.rate:
		return "suffix: " + p.Unit + "/s", nil
	}
	switch p.Unit {
	case "seconds":
		return "s", nil
	case "bytes":
		return "bytes", nil
	case "time":
		return "dateTimeAsIso", nil
	}
	return "short", nil
}
