package e2e

import (
	"html"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

var link = regexp.MustCompile(`href="(/[^"]*)"`)

// holdToFirstPage follows the links of the front door's first page.
func (s *stack) holdToFirstPage(t testing.TB, front string) {
	t.Helper()
	page := s.must(t, http.StatusOK, "GET", front+"/", nil)
	if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("policy %q", policy)
	}
	links := link.FindAllStringSubmatch(string(page.body), -1)
	if len(links) < 5 {
		t.Errorf("the first page leads nowhere:\n%s", page.body)
	}
	for _, l := range links {
		s.must(t, http.StatusOK, "GET", front+html.UnescapeString(l[1]), nil)
	}
}

var address = regexp.MustCompile(`\$HTTP://127\.0\.0\.1:\$(\w+)_PORT(/[a-z/.]*)`)

// What `make up` prints at its end, and what the runbook names, can be opened.
func TestLinksOfMakeUpWork(t *testing.T) {
	t.Parallel()
	d := &door{command: startStub(t, "command"), query: startStub(t, "query")}
	var metrics string
	_, d.url, metrics = testenv.StartFrontDoor(t, testenv.FrontDoor{Command: instances(d.command), Query: instances(d.query)})
	base := map[string]string{"HTTP": d.url, "STATS": strings.TrimSuffix(metrics, "/metrics"), "PROMETHEUS": startPrometheus(t, 0)}
	_, base["ALERTMANAGER"] = startAlertmanager(t, "")
	base["REPLICATOR"] = startStack(t).replicatorURL
	base["NETDATA"] = startNetdata(t, named(t, "haproxy", metrics))
	defaults := strings.NewReplacer("http://", "$HTTP://", ":8080", ":$HTTP_PORT", ":8404", ":$STATS_PORT", ":19090", ":$PROMETHEUS_PORT", ":19093", ":$ALERTMANAGER_PORT", ":19999", ":$NETDATA_PORT")
	client := &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for file, want := range map[string]int{"local/up": 5, "RUNBOOK.md": 5} {
		text, err := os.ReadFile("../../deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := address.FindAllStringSubmatch(defaults.Replace(string(text)), -1)
		if len(found) < want {
			t.Errorf("%s: only %q", file, found)
		}
		for _, f := range found {
			w, err := client.Get(base[f[1]] + f[2])
			if err != nil {
				t.Fatalf("%s: %s: %v", file, f[0], err)
			}
			if err := w.Body.Close(); err != nil || w.StatusCode != http.StatusOK {
				t.Errorf("%s: %s: %s %v", file, f[0], w.Status, err)
			}
		}
	}
}
