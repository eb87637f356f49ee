package testenv

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process describes a program of the project to start; Binary gives its Path.
type Process struct {
	Path string
	Args []string
	// Env is added to PATH, HOME, TMPDIR and GORACE of the test process and to DRAIN_DELAY=0, NAME=value each.
	Env []string
	// Death is what the kernel sends to the program when the test process dies; 0 is SIGKILL.
	Death syscall.Signal
	// Ready, if not empty, is a URL that answers 200 once the program is ready.
	Ready string
}

// Program is a running Process. Its output is printed when the test fails.
type Program struct {
	proc  *process
	ready string
}

// StartProcess starts a program, waits until it is ready and ends it at the end of the test by SIGTERM. If that
// takes longer than 30 seconds, the program is ended by kill -9 and the test fails.
func StartProcess(t testing.TB, p Process) *Program {
	t.Helper()
	g := newProgram(t, p)
	g.Start(t)
	return g
}

func newProgram(t testing.TB, p Process) *Program {
	t.Helper()
	env := append(serverEnv(), "HOME="+os.Getenv("HOME"), "TMPDIR="+os.TempDir(), "GORACE="+os.Getenv("GORACE"), "DRAIN_DELAY=0s")
	g := &Program{ready: p.Ready, proc: &process{
		name: filepath.Base(p.Path), path: p.Path, args: p.Args, env: append(env, p.Env...),
		dir: testFolder(t, memoryRun, "program", nil), death: cmp.Or(p.Death, syscall.SIGKILL),
	}}
	g.proc.logOnFailure(t)
	t.Cleanup(func() {
		if report := dataRace(g.Output()); report != "" {
			t.Errorf("%s:\n%s", g.proc.name, report)
		}
	})
	t.Cleanup(func() {
		if err := g.proc.end(syscall.SIGTERM); err != nil {
			t.Error(err)
			g.proc.must(t, g.proc.end(syscall.SIGKILL))
		}
	})
	return g
}

// dataRace is the first report of the race detector in a program's output, "" without one. Programs have the detector
// if the test has it.
func dataRace(output string) string {
	_, report, found := strings.Cut(output, "WARNING: DATA RACE")
	if !found {
		return ""
	}
	report, _, _ = strings.Cut(report, "==================")
	return "data race" + report
}

// Start starts the program again after it has ended, with the same arguments and environment.
func (g *Program) Start(t testing.TB) {
	t.Helper()
	g.proc.must(t, g.proc.start())
	if g.ready != "" {
		g.proc.must(t, g.proc.await(g.isReady))
	}
}

func (g *Program) isReady() error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(g.ready)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", g.ready, response.Status)
	}
	return nil
}

// Signal sends a signal; it does nothing if the program has ended.
func (g *Program) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	g.proc.must(t, g.proc.signal(sig))
}

// Interrupt sends SIGINT; Wait waits for the end.
func (g *Program) Interrupt(t testing.TB) {
	t.Helper()
	g.Signal(t, syscall.SIGINT)
}

// Stop sends SIGTERM and returns the exit status, as Wait.
func (g *Program) Stop(t testing.TB) int {
	t.Helper()
	g.proc.must(t, g.proc.end(syscall.SIGTERM))
	return g.Wait(t)
}

// Kill ends the program by kill -9.
func (g *Program) Kill(t testing.TB) {
	t.Helper()
	g.proc.must(t, g.proc.end(syscall.SIGKILL))
}

// Pause stops the program by SIGSTOP.
func (g *Program) Pause(t testing.TB) {
	t.Helper()
	g.Signal(t, syscall.SIGSTOP)
}

// Resume ends a Pause.
func (g *Program) Resume(t testing.TB) {
	t.Helper()
	g.Signal(t, syscall.SIGCONT)
}

// Wait waits for the end of the program, up to 30 seconds, and returns its exit status: -1 if a
// signal ended it.
func (g *Program) Wait(t testing.TB) int {
	t.Helper()
	if err := g.proc.wait(); err != nil {
		t.Fatal(err)
	}
	return g.proc.exit().ExitCode()
}

// Running says whether the program has not ended yet.
func (g *Program) Running() bool { return g.proc.running() }

// PID is the process id of the latest start.
func (g *Program) PID() int {
	pid, _ := g.proc.state()
	return pid
}

// Output is everything that the program has written to its standard output and error so far, over
// all starts.
func (g *Program) Output() string { return g.proc.output() }
