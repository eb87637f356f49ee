package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// check runs a program of Prometheus in a folder.
func check(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%s", program, args, err, out)
	}
}

// Alerts are tested by Prometheus itself.
func TestAlerts(t *testing.T) {
	dir := t.TempDir()
	jobs := []Job{{Name: "postgres", Targets: []Target{{Address{Port: 1}, "node1"}}}, {Name: "query", Interval: "2s", Targets: []Target{{Address: Address{Port: 2}}}}}
	for _, tls := range []*TLS{nil, {CA: "/ca.crt", File: "/tls.pem"}} {
		files, err := Prometheus{Jobs: jobs, Alertmanager: Address{Port: 3}, TLS: tls, Exporter: tls}.Files()
		if err == nil {
			err = files.Write(dir, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		if tls == nil { // otherwise it wants to see the certificates
			check(t, dir, "promtool", "check", "config", "prometheus.yml")
		}
		text := files["prometheus.yml"].Content
		if !strings.Contains(text, `targets: ["127.0.0.1:3"]`) || strings.Contains(text, "scheme: https\n      tls_config") != (tls != nil) || !strings.Contains(text, "scrape_interval: 2s") {
			t.Errorf("prometheus.yml:\n%s", text)
		}
	}
	check(t, dir, "promtool", append([]string{"check", "rules"}, rules...)...)
	tests, err := filepath.Glob("testdata/alerts/*.yml")
	if err != nil || len(tests) == 0 {
		t.Fatal(tests, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "alerts"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, from := range tests {
		text, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "alerts", filepath.Base(from)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		check(t, filepath.Join(dir, "alerts"), "promtool", "test", "rules", filepath.Base(from))
	}
}

// Alertmanager takes its configuration with and without somebody to tell, and a wrong URL is refused.
func TestAlertmanagerAcceptsItsConfiguration(t *testing.T) {
	for _, webhook := range []string{"", "http://127.0.0.1:9/alerts?key=it's&x=%20", "https://hooks.example/a/b"} {
		dir := t.TempDir()
		files, err := Alertmanager{Webhook: webhook}.Files()
		if err == nil {
			err = files.Write(dir, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		check(t, dir, "amtool", "check-config", "alertmanager.yml")
		if text := files["alertmanager.yml"].Content; strings.Contains(text, "receiver: webhook") != (webhook != "") {
			t.Errorf("%q:\n%s", webhook, text)
		}
	}
	for _, wrong := range []string{"hooks.example", "ftp://hooks.example/", "http://a b/", "http:///x"} {
		if _, err := (Alertmanager{Webhook: wrong}).Files(); err == nil || strings.Contains(err.Error(), "example") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}
