package deploy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// debianUnits get drop-ins.
var debianUnits = []string{"haproxy", "redis-server", "pgpool2", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter"}

// mostExposed is the limit of `systemd-analyze security` in tenths, of 100.
const mostExposed = "20"

// systemd takes every unit and drop-in without a warning, and our units are hardened.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	units := copyUnits(t, dir)
	environment := append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	args := append([]string{"verify", "--man=no"}, units...)
	for _, unit := range debianUnits {
		args = append(args, unit+".service")
	}
	verify := exec.CommandContext(t.Context(), "systemd-analyze", args...)
	verify.Env = environment
	// Debian's own units have warnings.
	if out, err := verify.CombinedOutput(); err != nil || strings.Contains(string(out), "stock-pyramid") || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, unit := range units {
		if filepath.Ext(unit) != ".service" {
			continue
		}
		security := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold="+mostExposed, filepath.Base(unit))
		security.Env = environment
		if out, err := security.CombinedOutput(); err != nil || !strings.Contains(string(out), "Overall exposure level") {
			t.Errorf("systemd-analyze security %s: %v\n%s", filepath.Base(unit), err, out)
		}
	}
}

// Who may silence alerts or look at the machine must be on it, and each program of Prometheus takes the option for TLS (WEB).
func TestDropInsOfPrometheus(t *testing.T) {
	for unit, port := range map[string]string{"prometheus": "", "prometheus-alertmanager": "9093", "prometheus-node-exporter": "9100"} {
		text, err := os.ReadFile(filepath.Join("systemd", unit+".service.d", "stock-pyramid.conf"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		start, found := strings.CutPrefix(lines[len(lines)-1], "ExecStart=/usr/bin/")
		if words := strings.Fields(start); !found || words[0] != unit || words[len(words)-1] != "$WEB" {
			t.Errorf("%s: %s", unit, lines[len(lines)-1])
		}
		if port != "" && !strings.Contains(start, " --web.listen-address=127.0.0.1:"+port+" ") {
			t.Errorf("%s listens elsewhere: %s", unit, start)
		}
		help, err := exec.CommandContext(t.Context(), "/usr/bin/"+unit, "--help").CombinedOutput()
		if err != nil || !strings.Contains(string(help), "--web.config.file=") || port != "" && !strings.Contains(string(help), "--web.listen-address=") {
			t.Errorf("%s lacks an option: %v", unit, err)
		}
	}
}

// copyUnits copies the units and drop-ins, and lets them start programs that are there.
func copyUnits(t *testing.T, dir string) (units []string) {
	t.Helper()
	program, err := exec.LookPath("true")
	if err != nil {
		t.Fatal(err)
	}
	err = fs.WalkDir(os.DirFS("systemd"), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) == ".md" {
			return err
		}
		text, err := os.ReadFile(filepath.Join("systemd", name))
		if err != nil {
			return err
		}
		for _, ours := range []string{"command", "query", "replicator", "node"} {
			text = []byte(strings.ReplaceAll(string(text), "/usr/lib/stock-pyramid/bin/"+ours, program))
		}
		to := filepath.Join(dir, name)
		if filepath.Dir(name) == "." {
			units = append(units, to)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, text, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return units
}
