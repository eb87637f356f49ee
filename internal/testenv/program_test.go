package testenv

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

func shell(script string) Process {
	return Process{Path: "/bin/sh", Args: []string{"-c", script}, Env: []string{"GREETING=hello"}}
}

func TestProgramLife(t *testing.T) {
	t.Parallel()
	g := StartProcess(t, shell(`trap 'echo ended; exit 3' TERM; trap 'exit 4' INT; echo "$GREETING"; while :; do sleep 0.05; done`))
	greeted := func(times int) {
		t.Helper()
		Eventually(t, startBudget, "it greets", func() bool { return strings.Count(g.Output(), "hello\n") == times })
	}
	greeted(1)
	if got := g.Stop(t); got != 3 || g.Running() || !strings.Contains(g.Output(), "ended") {
		t.Errorf("Stop: exit status %d, output %q", got, g.Output())
	}
	g.Start(t)
	greeted(2)
	g.Interrupt(t)
	if got := g.Wait(t); got != 4 {
		t.Errorf("Interrupt: exit status %d", got)
	}
	g.Start(t)
	greeted(3)
	g.Pause(t)
	Eventually(t, startBudget, "it is paused", func() bool {
		state, _, _ := stat(g.PID())
		return state == "T"
	})
	g.Resume(t)
	g.Kill(t)
	if got := g.Wait(t); got != -1 {
		t.Errorf("Kill: exit status %d", got)
	}
	g.Signal(t, syscall.SIGTERM) // does nothing any more
}

func TestProgramThatEndsIsNotAwaited(t *testing.T) {
	t.Parallel()
	p := shell("echo broken; exit 1")
	p.Ready = "http://127.0.0.1:1/"
	g := newProgram(t, p)
	if err := g.proc.start(); err != nil {
		t.Fatal(err)
	}
	err := g.proc.await(g.isReady)
	if err == nil || !strings.Contains(err.Error(), "exit status 1") || !strings.Contains(err.Error(), "broken") {
		t.Errorf("await: %v", err)
	}
}

func TestBinary(t *testing.T) {
	t.Parallel()
	path := Binary(t, "./sql")
	if again := Binary(t, "./sql"); again != path {
		t.Errorf("built twice: %s, %s", path, again)
	}
	g := StartProcess(t, Process{Path: path, Args: []string{"help"}})
	if got := g.Wait(t); got != 0 || !strings.Contains(g.Output(), "usage: sql") {
		t.Errorf("exit status %d, output %q", got, g.Output())
	}
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	addr := fmt.Sprintf("127.0.0.1:%d", FreePort(t))
	h := StartHAProxy(t, `
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 1s
frontend web
    bind `+addr+`
    http-request return status 200 content-type text/plain string "front door"
`, addr)
	for _, end := range []func(testing.TB){h.Kill, h.Stop} {
		response, err := http.Get("http://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("status %s, %v", response.Status, err)
		}
		http.DefaultClient.CloseIdleConnections()
		end(t)
		h.Start(t)
	}
}

func TestFreePortIsReserved(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 200 {
		port := FreePort(t)
		if seen[port] {
			t.Fatalf("port %d twice", port)
		}
		seen[port] = true
	}
}

func TestMissingServerIsNamed(t *testing.T) {
	t.Parallel()
	_, err := serverBinary("no-such-server", "its-package")
	if err == nil || !strings.Contains(err.Error(), "its-package") || !strings.Contains(err.Error(), "deploy/local/install") {
		t.Errorf("error %v", err)
	}
}

// What the race detector says of a program fails the test.
func TestDataRaceOfAProgram(t *testing.T) {
	t.Parallel()
	const report = "==================\nWARNING: DATA RACE\nWrite at 0x00c\n  main.main()\n==================\n"
	for output, want := range map[string]string{
		"":                                "",
		"listening\n":                     "",
		"listening\n" + report:            "data race\nWrite at 0x00c\n  main.main()\n",
		report + "listening\n" + report:   "data race\nWrite at 0x00c\n  main.main()\n",
		"WARNING: DATA RACE\nkilled here": "data race\nkilled here",
	} {
		if got := dataRace(output); got != want {
			t.Errorf("%q: %q, want %q", output, got, want)
		}
	}
}
