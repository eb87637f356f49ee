package testenv

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/deploy"
)

// Redis is a private Redis server, configured as it is deployed: append-only file synced every second, no
// snapshots, no eviction.
type Redis struct {
	proc *process
	port int
}

// StartRedis starts a server that lives until the end of the test.
func StartRedis(t testing.TB, opts ...Option) *Redis {
	t.Helper()
	path, err := serverBinary("redis-server", "redis-server")
	if err != nil {
		t.Fatal(err)
	}
	dir := testFolder(t, memoryRun, "redis", nil)
	r := &Redis{port: FreePort(t)}
	r.proc = &process{name: "redis", path: path, args: []string{"redis.conf"}, dir: dir, env: serverEnv(), death: syscall.SIGKILL}
	files, err := deploy.Redis{Address: deploy.Address{Port: r.port}, Data: dir, MaxMemoryMB: 16384, Settings: apply(opts).settings}.Files()
	if err == nil {
		err = writeFiles(files, dir, nil)
	}
	if err != nil {
		t.Fatalf("redis: %v", err)
	}
	r.proc.runUntilEnd(t)
	r.Start(t)
	return r
}

// URL is redis://host:port/0.
func (r *Redis) URL() string { return "redis://" + r.Addr() + "/0" }

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
	conn, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
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
