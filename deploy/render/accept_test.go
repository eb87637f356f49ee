package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// place is a folder with everything that is rendered for the local stack.
type place struct{ dir, conf string }

// Each program accepts its configuration, whatever the settings of the stack.
func TestEachProgramAcceptsItsConfiguration(t *testing.T) {
	for _, settings := range []string{"REPLICAS=2", "LINKS=yes", "REPLICAS=1", "REPLICAS=3", "TLS=yes"} {
		t.Run(settings, func(t *testing.T) {
			p := renderedStack(t, settings)
			for _, node := range names {
				p.postgres(t, node)
				p.repmgr(t, node)
			}
			p.pgpool(t)
			p.haproxy(t, "haproxy/haproxy.cfg")
			for i := range pairs {
				if settings == "LINKS=yes" {
					p.haproxy(t, fmt.Sprintf("links/link-%d.cfg", i+1))
				}
			}
			p.prometheus(t)
			p.supervisor(t)
		})
	}
}

// renderedStack runs the program. All files belong to the test's user, who must be able to read them.
func renderedStack(t *testing.T, changes ...string) place {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "render-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	p := place{dir: dir, conf: filepath.Join(dir, "conf")}
	setUp(t, append([]string{
		"PG_USER=" + me.Username, "LOCAL_DIR=" + dir, "CONF=" + p.conf,
		"DATA=" + p.mkdir(t, "data"), "LOGS=" + p.mkdir(t, "log"), "RUN=" + p.mkdir(t, "run"), "SECRETS=" + p.mkdir(t, "secrets"), "BACKUPS=" + p.mkdir(t, "backup"),
	}, changes...)...)
	for _, node := range names {
		p.mkdir(t, filepath.Join("data", node, "data"))
	}
	for _, role := range roles {
		p.write(t, filepath.Join("secrets", role+".password"), "of-"+role+"\n", 0o600)
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p place) mkdir(t *testing.T, name string) (path string) {
	t.Helper()
	path = filepath.Join(p.dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p place) write(t *testing.T, name, text string, mode os.FileMode) (path string) {
	t.Helper()
	path = filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p place) postgres(t *testing.T, node string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), testenv.PostgresTool(t, "postgres"),
		"-C", "max_connections", "-c", "config_file="+filepath.Join(p.conf, node, "postgresql.conf"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("postgres, %s: %v\n%s", node, err, out)
	}
}

// repmgr looks for its server after it has read the file, and there is none. It does not run as root, so another user
// gets a copy to read.
func (p place) repmgr(t *testing.T, node string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.conf, node, "repmgr.conf"))
	if err != nil {
		t.Fatal(err)
	}
	copied := p.write(t, node+".repmgr.conf", string(text), 0o644)
	c := exec.CommandContext(t.Context(), testenv.Tool(t, "repmgr", "postgresql-15-repmgr"), "-f", copied, "node", "status")
	c.Dir, c.Env = "/", append(os.Environ(), "PGSERVICEFILE=/dev/null")
	if os.Geteuid() == 0 {
		if err := os.Chmod(p.dir, 0o711); err != nil {
			t.Fatal(err)
		}
		postgres, err := owner("postgres")
		if err != nil {
			t.Fatal(err)
		}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(postgres.UID), Gid: uint32(postgres.GID)}}
	}
	out, err := c.CombinedOutput()
	if text := string(out); !strings.Contains(text, "service") || !strings.Contains(text, "not found") || strings.Contains(text, "WARNING") {
		t.Errorf("repmgr, %s: %v\n%s", node, err, text)
	}
}

// pgpool has no option that checks its files, but it reads them before it looks for the one that it shall stop. Names
// that it does not know are worth no more than an INFO to it, which the configuration keeps out of the log.
func (p place) pgpool(t *testing.T) {
	t.Helper()
	file := func(name string) string { return filepath.Join(p.conf, "pgpool", name) }
	text, err := os.ReadFile(file("pgpool.conf"))
	if err != nil {
		t.Fatal(err)
	}
	talkative := p.write(t, "pgpool.conf", "log_min_messages = info\n"+strings.Replace(string(text), "\nlog_min_messages = ", "\n# ", 1), 0o600)
	c := exec.CommandContext(t.Context(), testenv.Tool(t, "pgpool", "pgpool2"),
		"-f", talkative, "-a", file("pool_hba.conf"), "-F", file("pcp.conf"), "stop")
	out, err := c.CombinedOutput()
	if text := string(out); !strings.Contains(text, "pid file") || strings.Contains(text, "unrecognized configuration parameter") {
		t.Errorf("pgpool: %v\n%s", err, text)
	}
}

func (p place) haproxy(t *testing.T, name string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), testenv.Tool(t, "haproxy", "haproxy"), "-W", "-c", "-f", filepath.Join(p.conf, name))
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

func (p place) prometheus(t *testing.T) {
	t.Helper()
	for _, args := range [][]string{{"config", "prometheus.yml"}, {"rules", "rules-users.yml"}} {
		c := exec.CommandContext(t.Context(), testenv.Tool(t, "promtool", "prometheus"), "check", args[0], filepath.Join(p.conf, "prometheus", args[1]))
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool check %s: %v\n%s", args, err, out)
		}
	}
}

// whatSupervisorReads shows each program as supervisor understands it.
const whatSupervisorReads = `
import sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["-c", sys.argv[1]])
for group in sorted(options.process_group_configs, key=lambda g: g.priority):
    for p in group.process_configs:
        print(p.name, p.priority, int(p.stopsignal), p.stopwaitsecs, p.command)
`

// Supervisor stops programs in the reverse order of their priorities. Postgres gets SIGINT (2) and time for a checkpoint.
func (p place) supervisor(t *testing.T) {
	t.Helper()
	// Debian's Python has the package, another one in PATH may not.
	c := exec.CommandContext(t.Context(), "/usr/bin/python3", "-", filepath.Join(p.conf, "supervisord.conf"))
	c.Stdin = strings.NewReader(whatSupervisorReads)
	out, err := c.CombinedOutput()
	want := `witness 10 2 180 "/a %folder/run" witness
agent-3 20 15 15 "/a %folder/run" agent-3
postgres-1 30 2 180 "/a %folder/run" postgres-1
redis 40 15 15 "/a %folder/run" redis
pgpool 50 2 15 "/a %folder/run" pgpool
haproxy 60 15 15 "/a %folder/run" haproxy
`
	if err != nil || string(out) != want {
		t.Errorf("supervisor: %v\n%s\nwant\n%s", err, out, want)
	}
	info, err := os.Stat(filepath.Join(p.conf, "supervisord.conf"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("supervisord.conf: %v, %v", info, err)
	}
}
