package main

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func TestTargetsAreReadOrRefused(t *testing.T) {
	list, err := readTargets(bufio.NewScanner(strings.NewReader("# who\n\nquery-1 http://127.0.0.1:1/metrics\nquery-2 http://127.0.0.1:2/metrics\n")))
	if err != nil || len(list) != 2 || list[1].name != "query-2" || list[1].url != "http://127.0.0.1:2/metrics" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, text := range []string{"", "# nobody\n", "query-1\n", "query 1 http://127.0.0.1:1/\n"} {
		if list, err := readTargets(bufio.NewScanner(strings.NewReader(text))); err == nil {
			t.Errorf("%q: %+v and no error", text, list)
		}
	}
}

const (
	toldFirst = `CHART prometheus_command-1.bid_queue_seconds_count '' 'Waits.' 'events/s' 'bid' 'prometheus.bid_queue_seconds_count' line 90000 5 '' prometheus.plugin 'command-1'
DIMENSION 'value' 'value' incremental 1 1000
BEGIN prometheus_command-1.bid_queue_seconds_count
SET 'value' = 1000
END
CHART prometheus_command-1.bid_queue_seconds_sum '' 'Waits.' 'seconds/s' 'bid' 'prometheus.bid_queue_seconds_sum' line 90000 5 '' prometheus.plugin 'command-1'
DIMENSION 'value' 'value' incremental 1 1000
BEGIN prometheus_command-1.bid_queue_seconds_sum
SET 'value' = 500
END
CHART prometheus_command-1.bids_total '' 'Bids by what became of them: its new.' 'bids/s' 'bids' 'prometheus.bids_total' line 90000 5 '' prometheus.plugin 'command-1'
DIMENSION 'placed' 'placed' incremental 1 1000
BEGIN prometheus_command-1.bids_total
SET 'placed' = 3000
END
CHART prometheus_command-1.replicator_lag_seconds '' 'Lag.' 'seconds' 'replicator' 'prometheus.replicator_lag_seconds' line 90000 5 '' prometheus.plugin 'command-1'
DIMENSION 'value' 'value' absolute 1 1000
BEGIN prometheus_command-1.replicator_lag_seconds
SET 'value' = 250
END
`
	toldThen = `BEGIN prometheus_command-1.bid_queue_seconds_count
SET 'value' = 1000
END
BEGIN prometheus_command-1.bid_queue_seconds_sum
SET 'value' = 500
END
CHART prometheus_command-1.bids_total '' 'Bids by what became of them: its new.' 'bids/s' 'bids' 'prometheus.bids_total' line 90000 5 '' prometheus.plugin 'command-1'
DIMENSION 'closed' 'closed' incremental 1 1000
BEGIN prometheus_command-1.bids_total
SET 'closed' = 1000
SET 'placed' = 3000
END
BEGIN prometheus_command-1.replicator_lag_seconds
SET 'value' = 250
END
`
)

// A chart and its series are told once, values each time. A series that comes later is told with its chart.
func TestEachChartIsToldOnce(t *testing.T) {
	registry := prometheus.NewRegistry()
	bids := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bids_total", Help: "Bids by what became of them: it's new."}, []string{"outcome"})
	lag := prometheus.NewGauge(prometheus.GaugeOpts{Name: "replicator_lag_seconds", Help: "Lag."})
	took := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "bid_queue_seconds", Help: "Waits."})
	none := prometheus.NewGauge(prometheus.GaugeOpts{Name: "go_left_out", Help: "Not shown."})
	registry.MustRegister(bids, lag, took, none)
	bids.WithLabelValues("placed").Add(3)
	lag.Set(0.25)
	took.Observe(0.5)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()
	var out bytes.Buffer
	c := collector{every: 5 * time.Second, out: bufio.NewWriter(&out), targets: []*target{{name: "command-1", url: server.URL, charts: charts{}}}}
	for _, want := range []string{toldFirst, toldThen} {
		out.Reset()
		if err := c.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("told\n%s\nwant\n%s", &out, want)
		}
		bids.WithLabelValues("closed").Inc()
	}
}

// A target that does not answer, or answers something else, has no values, and the others have theirs.
func TestASilentTargetHasNoValues(t *testing.T) {
	hang, release := context.WithCancel(context.Background())
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("lag 1\n")) }))
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	refuses := httptest.NewServer(http.NotFoundHandler())
	frozen := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang.Done() }))
	for _, server := range []*httptest.Server{good, wrong, refuses, frozen} {
		defer server.Close()
	}
	defer release()
	var out bytes.Buffer
	c := collector{every: time.Second, out: bufio.NewWriter(&out)}
	for name, server := range map[string]*httptest.Server{"good": good, "wrong": wrong, "refuses": refuses, "frozen": frozen} {
		c.targets = append(c.targets, &target{name: name, url: server.URL, charts: charts{}})
	}
	if err := c.collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "CHART ") != 1 || !strings.Contains(text, "BEGIN prometheus_good.lag\nSET 'value' = 1000\n") {
		t.Errorf("told\n%s", text)
	}
	for _, target := range c.targets {
		if target.silent != (target.name != "good") {
			t.Errorf("%s is silent: %v", target.name, target.silent)
		}
	}
}

// What a target can make netdata hold is bounded.
func TestChartsAndSeriesAreBounded(t *testing.T) {
	var text strings.Builder
	for metric := range maxCharts + 50 {
		name := "m" + strings.Repeat("x", metric)
		for series := range maxSeries + 5 {
			text.WriteString(name + `{of="` + strings.Repeat("y", series+1) + "\"} 1\n")
		}
	}
	readings, err := parse(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := bufio.NewWriter(&out)
	known := charts{}
	known.write(w, "big", time.Second, readings)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "CHART "); n != maxCharts {
		t.Errorf("%d charts", n)
	}
	if n := strings.Count(out.String(), "DIMENSION "); n != maxCharts*maxSeries {
		t.Errorf("%d series", n)
	}
}
