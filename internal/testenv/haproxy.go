package testenv

import (
	"net"
	"os"
	"path/filepath"
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
	path, err := serverBinary("haproxy", "haproxy")
	if err != nil {
		t.Fatal(err)
	}
	dir := testFolder(t, memoryRun, "haproxy", nil)
	file := filepath.Join(dir, "haproxy.cfg")
	if err := writeConfig(file, config, nil); err != nil {
		t.Fatal(err)
	}
	h := &HAProxy{addr: addr}
	h.proc = &process{name: "haproxy", path: path, dir: dir, env: serverEnv(), death: syscall.SIGKILL}
	h.proc.args = []string{"-db", "-f", file} // -db: one process, in the foreground
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

// Kill ends HAProxy by kill -9.
func (h *HAProxy) Kill(t testing.TB) {
	t.Helper()
	h.proc.must(t, h.proc.end(syscall.SIGKILL))
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
