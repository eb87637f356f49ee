package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// The table of metrics says what the programs export, and nothing else: name, type, help, labels and their values.
func TestTheTableOfMetricsIsTrue(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.useEverything(t)
	_, status, replicator := startService(t, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URLOf("replicator"), s.redis.Trust())
	s.must(t, http.StatusOK, "GET", status+"/v1/status", nil)
	_, _, haproxy := testenv.StartFrontDoor(t, testenv.FrontDoor{Command: []testenv.Instance{{Public: strings.TrimPrefix(s.commandURL, "http://"), Admin: s.commandAdmin}},
		Query: []testenv.Instance{{Public: strings.TrimPrefix(s.queryURL, "http://"), Admin: s.queryAdmin}}})
	urls := map[string]string{
		"command": "http://" + s.commandAdmin + "/metrics", "query": "http://" + s.queryAdmin + "/metrics", "replicator": "http://" + replicator + "/metrics",
		"exporter": fmt.Sprintf("http://127.0.0.1:%d/metrics", startExporter(t, s.primary)), "haproxy": haproxy, "host": startHostExporter(t),
	}
	seen := map[string]map[string]*dto.MetricFamily{}
	for program, url := range urls {
		seen[program] = gather(t, url)
	}
	own, err := deploy.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	others, err := deploy.OtherMetrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range own {
		for _, program := range m.By {
			holdMetric(t, m, program, seen[program][m.Name], true)
		}
	}
	for _, m := range others {
		for _, program := range m.By {
			if program != "prometheus" {
				holdMetric(t, m, program, seen[program][m.Name], false)
			}
		}
	}
	for program, families := range seen {
		holdTable(t, own, program, families)
	}
	for _, program := range []string{"command", "query", "replicator"} {
		holdToConventions(t, urls[program])
	}
}

// useEverything lets metrics appear that appear only with their first event.
func (s *stack) useEverything(t *testing.T) {
	t.Helper()
	s.must(t, http.StatusCreated, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 250_000}, "Authorization", s.login(t, "user1"))
	s.must(t, http.StatusOK, "GET", s.lookupURL(openRaffle, "size=270"), nil)
	s.must(t, http.StatusNotFound, "GET", s.queryURL+"/v1/none", nil)
	// A feed that was opened is counted when it ends.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v1/raffles/%d/live", s.queryURL, openRaffle), nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = w.Body.Close() // it was cancelled
	testenv.Eventually(t, patience, "the feed is counted apart", func() bool {
		return gather(t, "http://"+s.queryAdmin+"/metrics")["http_open_requests_total"] != nil
	})
	for _, m := range gather(t, "http://"+s.queryAdmin+"/metrics")["http_request_duration_seconds"].GetMetric() {
		for _, l := range m.GetLabel() {
			if strings.HasSuffix(l.GetValue(), "/live") {
				t.Errorf("a feed is among the latencies: %v", m)
			}
		}
	}
}

// gather reads what a program exports.
func gather(t testing.TB, url string) map[string]*dto.MetricFamily {
	t.Helper()
	w, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(w.Body)
	if err != nil || w.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", url, w.Status, err)
	}
	return families
}

// holdMetric holds a line of the table against what a program exports under that name.
func holdMetric(t *testing.T, m deploy.Metric, program string, f *dto.MetricFamily, withHelp bool) {
	t.Helper()
	if f == nil {
		t.Errorf("%s does not export %s", program, m.Name)
		return
	}
	if kind := strings.ToLower(f.GetType().String()); kind != m.Type || withHelp && f.GetHelp() != m.Help {
		t.Errorf("%s exports %s as a %s: %s", program, m.Name, kind, f.GetHelp())
	}
	for _, one := range f.GetMetric() {
		var missing []string
		for label := range m.Labels {
			if !slices.ContainsFunc(one.GetLabel(), func(l *dto.LabelPair) bool { return l.GetName() == label }) {
				missing = append(missing, label)
			}
		}
		if withHelp && len(missing) > 0 {
			t.Errorf("%s exports %s without the labels %v", program, m.Name, missing)
		}
		for _, l := range one.GetLabel() {
			values, known := m.Labels[l.GetName()]
			if program == "exporter" && l.GetName() == "server" { // it adds the node's address
				continue
			}
			if !known || !regexp.MustCompile("^("+values+")$").MatchString(l.GetValue()) {
				t.Errorf("%s exports %s with %s=%q", program, m.Name, l.GetName(), l.GetValue())
			}
		}
	}
}

// holdTable fails the test for each metric of a program that the table lacks.
func holdTable(t *testing.T, own []deploy.Metric, program string, families map[string]*dto.MetricFamily) {
	t.Helper()
	others := regexp.MustCompile("^(go|process|promhttp)_")
	switch program {
	case "exporter": // only our queries are ours
		others = regexp.MustCompile("^(go|process|promhttp|postgres_exporter|pg)_")
	case "haproxy", "host":
		return
	}
	for name := range families {
		ours := strings.HasPrefix(name, "pg_node_") || strings.HasPrefix(name, "pg_slot_")
		if others.MatchString(name) && !ours {
			continue
		}
		if !slices.ContainsFunc(own, func(m deploy.Metric) bool { return m.Name == name && slices.Contains(m.By, program) }) {
			t.Errorf("%s exports %s, which the table does not have", program, name)
		}
	}
}

// startHostExporter starts the exporter of the machine as the local stack does, and returns the URL of its metrics.
func startHostExporter(t testing.TB) string {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", testenv.FreePort(t))
	testenv.StartProcess(t, testenv.Process{
		Path: testenv.Tool(t, "prometheus-node-exporter", "prometheus-node-exporter"), Ready: "http://" + address + "/metrics",
		Args: []string{"--web.listen-address=" + address, "--collector.disable-defaults", "--collector.filesystem"},
	})
	return "http://" + address + "/metrics"
}

// holdToConventions lets the linter of Prometheus judge what a program exports.
func holdToConventions(t *testing.T, url string) {
	t.Helper()
	w, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	c := exec.CommandContext(t.Context(), testenv.Tool(t, "promtool", "prometheus"), "check", "metrics")
	c.Stdin = w.Body
	if out, err := testenv.Run(c); err != nil {
		t.Errorf("%s: %v\n%s", url, err, out)
	}
}
