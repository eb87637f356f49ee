package e2e

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// alertPatience is several times as long as an alert and its message may take.
const alertPatience = 3 * time.Minute

// P7: a replicator that waits makes no alert fire. If all replicators are frozen, the metric of query's lag and a message at the
// webhook say so, and a second message says when it is over. That they do so within 15 s is what the drill "all replicators frozen"
// shows.
func TestAnAlertReachesTheWebhook_P7(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	second, _, waiting := startService(t, "replicator", "PRIMARY_URL="+s.primary.URL("replicator"), "REDIS_URL="+s.redis.URLOf("replicator"), s.redis.Trust())
	messages := &inbox{last: map[string]told{}}
	hook := httptest.NewServer(messages)
	defer hook.Close()
	port, _ := startAlertmanager(t, hook.URL+"/alerts?key=a&b=c")
	queryJob := job(t, "query", s.queryAdmin)
	queryJob.Interval = "2s"
	prometheus := startPrometheus(t, port, queryJob, job(t, "replicator", waiting))
	testenv.Eventually(t, alertPatience, "Prometheus has looked at query and at the replicator that waits", func() bool {
		return holds(t, prometheus, `query_path_lag_seconds{path="redis"} < 3 and on () replicator_state{state="waiting"} == 1`)
	})
	// In this small deployment other alerts fire, because most parts are not there; this one shows that messages arrive.
	testenv.Eventually(t, alertPatience, "the webhook is told of another alert", func() bool { return messages.about("WritableNodes").Status == "firing" })
	if a := messages.about("ReadModelLag"); a.Status != "" {
		t.Errorf("told before: %+v", a)
	}
	frozen := time.Now()
	for _, p := range []*testenv.Program{s.replicator, second} {
		p.Signal(t, syscall.SIGSTOP)
	}
	testenv.Eventually(t, alertPatience, "query's metric shows the lag", func() bool { return holds(t, prometheus, `query_path_lag_seconds{path="redis"} > 3`) })
	t.Logf("the metric said so after %v", time.Since(frozen))
	testenv.Eventually(t, alertPatience, "the webhook is told", func() bool { return messages.about("ReadModelLag").Status == "firing" })
	t.Logf("the webhook was told after %v", time.Since(frozen))
	a := messages.about("ReadModelLag")
	if a.Labels["severity"] != "page" || !strings.Contains(a.Annotations["summary"], "s behind the primary") || a.Annotations["runbook"] != "deploy/RUNBOOK.md#readmodellag" {
		t.Errorf("%+v", a)
	}
	for _, p := range []*testenv.Program{s.replicator, second} {
		p.Signal(t, syscall.SIGCONT)
	}
	testenv.Eventually(t, alertPatience, "the webhook is told that it is over", func() bool { return messages.about("ReadModelLag").Status == "resolved" })
}

// holds says whether an expression of Prometheus has a value.
func holds(t testing.TB, prometheus, expression string) bool {
	t.Helper()
	w, err := http.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(expression))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []any }
	}
	if err := json.NewDecoder(w.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %s %v", expression, answer.Error, err)
	}
	return len(answer.Data.Result) > 0
}

// job is one program that Prometheus asks.
func job(t testing.TB, name, address string) deploy.Job {
	t.Helper()
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return deploy.Job{Name: name, Targets: []deploy.Target{{Address: deploy.Address{Host: host, Port: port}}}}
}
