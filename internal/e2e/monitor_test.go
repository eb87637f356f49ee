package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// startPrometheus starts it with the rules that are deployed and returns its URL. It asks itself and the given jobs, and tells
// the Alertmanager at that port, if it is not 0.
func startPrometheus(t testing.TB, alertmanager int, jobs ...deploy.Job) string {
	t.Helper()
	dir, port := t.TempDir(), testenv.FreePort(t)
	own := deploy.Job{Name: "prometheus", Targets: []deploy.Target{{Address: deploy.Address{Port: port}}}}
	files, err := deploy.Prometheus{Jobs: append(jobs, own), Alertmanager: deploy.Address{Port: alertmanager}}.Files()
	if err == nil {
		err = files.Write(dir, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	testenv.StartProcess(t, testenv.Process{
		Path: testenv.Tool(t, "prometheus", "prometheus"), Ready: url + "/-/ready",
		Args: []string{"--config.file=" + filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--web.listen-address=" + strings.TrimPrefix(url, "http://")},
	})
	return url
}

// startAlertmanager starts it with the configuration that is deployed, and returns its port and URL.
func startAlertmanager(t testing.TB, webhook string) (port int, url string) {
	t.Helper()
	dir := t.TempDir()
	files, err := deploy.Alertmanager{Webhook: webhook}.Files()
	if err == nil {
		err = files.Write(dir, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	port = testenv.FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	testenv.StartProcess(t, testenv.Process{
		Path: testenv.Tool(t, "prometheus-alertmanager", "prometheus-alertmanager"), Ready: "http://" + address + "/-/ready",
		Args: []string{"--config.file=" + filepath.Join(dir, "alertmanager.yml"), "--storage.path=" + filepath.Join(dir, "data"), "--cluster.listen-address=", "--web.listen-address=" + address},
	})
	return port, "http://" + address
}

// startExporter starts the exporter of a node with the queries that are deployed, and returns its port.
func startExporter(t testing.TB, node *testenv.Postgres) (port int) {
	t.Helper()
	files, err := deploy.Prometheus{}.Files()
	if err != nil {
		t.Fatal(err)
	}
	queries := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(queries, []byte(files["queries.yaml"].Content), 0o600); err != nil {
		t.Fatal(err)
	}
	port = testenv.FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	testenv.StartProcess(t, testenv.Process{
		Path: testenv.Tool(t, "prometheus-postgres-exporter", "prometheus-postgres-exporter"), Ready: "http://" + address + "/metrics",
		Args: []string{"--web.listen-address=" + address, "--disable-settings-metrics"},
		Env:  []string{"PG_EXPORTER_EXTEND_QUERY_PATH=" + queries, "DATA_SOURCE_NAME=" + node.URL("exporter")},
	})
	return port
}

// told is an alert as a webhook gets it.
type told struct {
	Status      string // firing or resolved
	Labels      map[string]string
	Annotations map[string]string
}

// inbox is a webhook that keeps the last word on each alert.
type inbox struct {
	mu   sync.Mutex
	last map[string]told // by name
}

// ServeHTTP takes what Alertmanager sends.
func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct{ Alerts []told }
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, a := range message.Alerts {
		i.last[a.Labels["alertname"]] = a
	}
}

// about is the last word on an alert; zero if there was none.
func (i *inbox) about(name string) told {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.last[name]
}
