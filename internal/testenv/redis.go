package testenv

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// Redis is a private Redis server, configured as it is deployed: append-only file synced every second, no
// snapshots, no eviction.
type Redis struct {
	proc    *process
	port    int
	secured *secured
}

// StartRedis starts a server that lives until the end of the test.
func StartRedis(t testing.TB, opts ...Option) *Redis {
	t.Helper()
	path, err := serverBinary("redis-server", "redis-server")
	if err != nil {
		t.Fatal(err)
	}
	dir := testFolder(t, memoryRun, "redis", nil)
	o := apply(opts)
	r := &Redis{port: FreePort(t), secured: o.secured}
	r.proc = &process{name: "redis", path: path, args: []string{"redis.conf"}, dir: dir, env: serverEnv(), death: syscall.SIGKILL}
	err = r.configure(dir, o.settings)
	if err != nil {
		t.Fatalf("redis: %v", err)
	}
	r.proc.runUntilEnd(t)
	r.Start(t)
	return r
}

func (r *Redis) configure(dir string, settings []setting) error {
	tls, err := r.secured.files(dir, nil)
	if err != nil {
		return err
	}
	d := deploy.Redis{Address: deploy.Address{Port: r.port}, Data: dir, Conf: dir, MaxMemoryMB: 16384, Settings: settings, TLS: tls, Passwords: map[string][]string{}}
	for _, user := range []string{"query", "replicator", "operator"} {
		d.Passwords[user] = []string{user}
	}
	files, err := d.Files()
	if err != nil {
		return err
	}
	return writeFiles(files, dir, nil)
}

// URL is redis://host:port/0, or that of the operator of a Secured server.
func (r *Redis) URL() string {
	return r.URLOf("operator")
}

// URLOf is the URL of a user of a Secured server: query, replicator or operator, whose password is the name. It is the same
// for all users of a server that is not.
func (r *Redis) URLOf(user string) string {
	if r.secured == nil {
		return "redis://" + r.Addr() + "/0"
	}
	return fmt.Sprintf("rediss://%[1]s:%[1]s@%[2]s/0", user, r.Addr())
}

// Trust is the variable that makes a program of Go trust the authority of a Secured server.
func (r *Redis) Trust() string {
	if r.secured == nil {
		return "SSL_CERT_FILE="
	}
	return "SSL_CERT_FILE=" + filepath.Join(r.Dir(), "ca.crt")
}

// Addr is the TCP address, host:port.
func (r *Redis) Addr() string { return fmt.Sprintf("127.0.0.1:%d", r.port) }

// Start starts the server again, after Stop or Kill, on the same port with the data of its
// append-only file, and waits until that is loaded.
func (r *Redis) Start(t testing.TB) {
	t.Helper()
	if err := r.proc.start(); err != nil {
		t.Fatal(err)
	}
	if err := r.proc.await(r.ping); err != nil {
		t.Fatal(err)
	}
}

// ping succeeds once the append-only file is loaded; until then the server answers -LOADING.
func (r *Redis) ping() error {
	conn, err := r.secured.dial(r.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	commands := []string{"PING"}
	if r.secured != nil {
		commands = []string{"AUTH operator operator", "PING"}
	}
	answers, answer := bufio.NewReader(conn), ""
	for _, command := range commands {
		if _, err := conn.Write([]byte(command + "\r\n")); err != nil {
			return err
		}
		if answer, err = answers.ReadString('\n'); err != nil {
			return err
		}
	}
	if answer = strings.TrimSpace(answer); answer != "+PONG" {
		return fmt.Errorf("PING is answered by %q", answer)
	}
	return nil
}

// Stop shuts the server down; its append-only file is synced.
func (r *Redis) Stop(t testing.TB) {
	t.Helper()
	r.proc.must(t, r.proc.end(syscall.SIGTERM))
}

// Kill ends the server by kill -9.
func (r *Redis) Kill(t testing.TB) {
	t.Helper()
	r.proc.must(t, r.proc.end(syscall.SIGKILL))
}

// Pause stops the server by SIGSTOP: it still accepts connections and answers nothing.
func (r *Redis) Pause(t testing.TB) {
	t.Helper()
	r.proc.must(t, r.proc.signal(syscall.SIGSTOP))
}

// Resume ends a Pause.
func (r *Redis) Resume(t testing.TB) {
	t.Helper()
	r.proc.must(t, r.proc.signal(syscall.SIGCONT))
}

// Dir is the server's folder; the append-only file lies in appendonlydir below it.
func (r *Redis) Dir() string { return r.proc.dir }

// PID is the process id of the server.
func (r *Redis) PID() int {
	pid, _ := r.proc.state()
	return pid
}
