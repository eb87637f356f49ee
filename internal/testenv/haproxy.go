package testenv

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// HAProxy is a private HAProxy.
type HAProxy struct {
	proc *process
	addr string
}

// StartHAProxy starts HAProxy with a whole configuration text and waits until addr (host:port, one
// of its listeners) accepts connections. It lives until the end of the test. Relative paths in the
// configuration, such as those of error files, start at the server's own, empty folder.
func StartHAProxy(t testing.TB, config, addr string) *HAProxy {
	t.Helper()
	dir := testFolder(t, memoryRun, "haproxy", nil)
	file := filepath.Join(dir, "haproxy.cfg")
	if err := writeConfig(file, config, nil); err != nil {
		t.Fatal(err)
	}
	return startHAProxy(t, file, addr)
}

// startHAProxy starts it in a folder of its own, with the configuration in a file.
func startHAProxy(t testing.TB, file, addr string, options ...string) *HAProxy {
	t.Helper()
	path, err := serverBinary("haproxy", "haproxy")
	if err != nil {
		t.Fatal(err)
	}
	h := &HAProxy{addr: addr}
	h.proc = &process{name: "haproxy", path: path, dir: testFolder(t, memoryRun, "haproxy", nil), env: serverEnv(), death: syscall.SIGTERM}
	h.proc.args = append([]string{"-db", "-f", file}, options...) // -db: in the foreground
	h.proc.runUntilEnd(t)
	h.Start(t)
	return h
}

// Start starts HAProxy again, after Stop or Kill.
func (h *HAProxy) Start(t testing.TB) {
	t.Helper()
	h.proc.must(t, h.proc.start())
	h.proc.must(t, h.proc.await(func() error {
		conn, err := net.DialTimeout("tcp", h.addr, time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}))
}

// Stop lets HAProxy finish its open connections and waits for its end.
func (h *HAProxy) Stop(t testing.TB) {
	t.Helper()
	h.proc.must(t, h.proc.end(syscall.SIGUSR1))
}

// PID is the process that was started; with workers, their parent.
func (h *HAProxy) PID() int {
	pid, _ := h.proc.state()
	return pid
}

// Kill ends HAProxy and its workers, if it has any, by kill -9.
func (h *HAProxy) Kill(t testing.TB) {
	t.Helper()
	h.proc.must(t, h.proc.killTree())
}

// Reload makes a front door start a worker with its configuration file as it is now, and waits until that has taken
// over. The worker before it ends the requests that it has.
func (h *HAProxy) Reload(t testing.TB) {
	t.Helper()
	workers := h.workers(t)
	var asked time.Time
	Eventually(t, startBudget, "a new worker has taken over", func() bool {
		// HAProxy 2.6 sleeps on over a signal that arrives just when it has started a worker.
		if time.Since(asked) > time.Second {
			h.proc.must(t, h.proc.signal(syscall.SIGUSR2))
			asked = time.Now()
		}
		return h.workers(t) > workers
	})
}

// workers is how many workers have been ready so far. The first is waited for.
func (h *HAProxy) workers(t testing.TB) (n int) {
	t.Helper()
	Eventually(t, startBudget, "a worker is ready", func() bool {
		n = strings.Count(h.Log(t), "Loading success.")
		return n > 0
	})
	return n
}

// Log is what HAProxy has written so far.
func (h *HAProxy) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(h.proc.logPath())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
