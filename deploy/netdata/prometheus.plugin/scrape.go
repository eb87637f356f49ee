package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"sort"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// reading is the value of one series.
type reading struct {
	metric, help string
	counter      bool // it only grows, and its rate is shown
	series       string
	value        float64
}

const maxBody = 16 << 20 // bytes

func scrape(ctx context.Context, client *http.Client, url string) ([]reading, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/plain; version=0.0.4")
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	}
	return parse(io.LimitReader(answer.Body, maxBody))
}

// parse returns the readings in the order of their names. Those of the Go runtime and of the process are left out, because
// netdata measures processes itself.
func parse(text io.Reader) (list []reading, err error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return nil, err
	}
	for name, family := range families {
		if strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "promhttp_") {
			continue
		}
		for _, m := range family.Metric {
			list = append(list, readingsOf(family, m)...)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].metric != list[j].metric {
			return list[i].metric < list[j].metric
		}
		return list[i].series < list[j].series
	})
	return list, nil
}

// readingsOf one series. Of a histogram and a summary these are the number and the sum of what was observed. What is no
// number is left out.
func readingsOf(family *dto.MetricFamily, m *dto.Metric) (list []reading) {
	add := func(suffix string, counter bool, value float64) {
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			list = append(list, reading{family.GetName() + suffix, family.GetHelp(), counter, seriesOf(m), value})
		}
	}
	switch family.GetType() {
	case dto.MetricType_COUNTER:
		add("", true, m.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		add("", false, m.GetGauge().GetValue())
	case dto.MetricType_HISTOGRAM:
		add("_count", true, float64(m.GetHistogram().GetSampleCount()))
		add("_sum", true, m.GetHistogram().GetSampleSum())
	case dto.MetricType_SUMMARY:
		add("_count", true, float64(m.GetSummary().GetSampleCount()))
		add("_sum", true, m.GetSummary().GetSampleSum())
	default:
		add("", false, m.GetUntyped().GetValue())
	}
	return list
}

// seriesOf names a series of a metric by the values of its labels.
func seriesOf(m *dto.Metric) string {
	values := make([]string, len(m.Label))
	for i, l := range m.Label {
		values[i] = l.GetValue()
	}
	return cmp.Or(strings.TrimSpace(strings.Join(values, " ")), "value")
}
