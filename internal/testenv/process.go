package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one server or program. It can be started again after it has ended.
type process struct {
	name  string
	path  string
	args  []string
	env   []string // nil: that of the test process
	dir   string   // holds the log
	owner *owner   // nil: as the test process
	// death is what the kernel sends when the test process dies. It must be a signal on which the
	// program also ends its own children, if it has any.
	death syscall.Signal

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when cmd has ended
}

// owner is the user that PostgreSQL and pgpool-II run as, since they refuse to run as root.
type owner struct{ uid, gid int }

// serverOwner is nil unless the test process is root.
var serverOwner = sync.OnceValues(func() (*owner, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("as root, servers run as user postgres of package postgresql-15 (deploy/local/install installs it): %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(u.Gid)
	return &owner{uid, gid}, err
})

// forks runs functions on one thread that lives as long as the process. It is needed because Pdeathsig fires
// when the thread that forked ends, not when the process ends, and the Go runtime ends threads when it likes.
var forks = sync.OnceValue(func() chan<- func() {
	ch := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range ch {
			f()
		}
	}()
	return ch
})

func startOnForkThread(cmd *exec.Cmd) error {
	result := make(chan error)
	forks() <- func() { result <- cmd.Start() }
	return <-result
}

func (p *process) logPath() string { return filepath.Join(p.dir, "log") }

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && !isClosed(p.done) {
		return fmt.Errorf("%s runs already", p.name)
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, log, log
	cmd.SysProcAttr = attributes(p.owner)
	cmd.SysProcAttr.Pdeathsig = p.death
	err = errors.Join(startOnForkThread(cmd), log.Close())
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		// The exit status is in cmd.ProcessState; the error only repeats it.
		_ = cmd.Wait()
		close(done)
	}(p.done)
	return nil
}

// attributes puts the child into its own process group, so that a Ctrl-C in the terminal reaches only the test,
// which then ends its servers.
func attributes(o *owner) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if o != nil {
		a.Credential = &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}
	}
	return a
}

// runTool runs a program to its end, as the user o if o is not nil.
func runTool(o *owner, dir string, path string, args ...string) error {
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = dir, serverEnv()
	cmd.SysProcAttr = attributes(o)
	if out, err := run(cmd); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(path), err, out)
	}
	return nil
}

// serverEnv keeps variables such as PGHOST or PGOPTIONS of the caller away from the servers.
func serverEnv() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func (p *process) state() (pid int, done <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0, nil
	}
	return p.cmd.Process.Pid, p.done
}

func (p *process) running() bool {
	_, done := p.state()
	return done != nil && !isClosed(done)
}

// signal does nothing if the process has ended.
func (p *process) signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return nil
	}
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// end sends sig and waits for the end of the process. If it is paused, it and its children are
// resumed.
func (p *process) end(sig syscall.Signal) error {
	if !p.running() {
		return nil
	}
	err := p.signal(sig)
	if sig != syscall.SIGKILL {
		_, resumeErr := p.signalTree(syscall.SIGCONT)
		err = errors.Join(err, resumeErr)
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	if err := p.wait(); err != nil {
		return fmt.Errorf("after %v: %w", sig, err)
	}
	return nil
}

func (p *process) wait() error {
	_, done := p.state()
	timeout := time.NewTimer(stopBudget)
	defer timeout.Stop()
	select {
	case <-done:
		return nil
	case <-timeout.C:
		return fmt.Errorf("%s has not ended within %v\n%s", p.name, stopBudget, p.tail())
	}
}

// await polls ready until it holds. It gives up at once when the process ends.
func (p *process) await(ready func() error) error {
	ended := false
	err := poll(startBudget, func() error {
		if !p.running() {
			ended = true
			return nil
		}
		return ready()
	})
	if ended {
		return fmt.Errorf("%s ended while it started (%v)\n%s", p.name, p.exit(), p.tail())
	}
	if err != nil {
		return fmt.Errorf("%s is not ready after %v: %w\n%s", p.name, startBudget, err, p.tail())
	}
	return nil
}

func (p *process) exit() *os.ProcessState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.ProcessState
}

func (p *process) output() string {
	b, err := os.ReadFile(p.logPath())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// tail is the end of the log, enough to see why a server did not start.
func (p *process) tail() string {
	const keep = 16 << 10
	s := p.output()
	if len(s) > keep {
		s = "...\n" + s[len(s)-keep:]
	}
	return s
}

// logOnFailure prints the log when the test has failed. It must be registered after the removal of the log's
// folder, because cleanups run last to first.
func (p *process) logOnFailure(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.name, p.tail())
		}
	})
}

// runUntilEnd registers the end of the process with the end of the test.
func (p *process) runUntilEnd(t testing.TB) {
	p.logOnFailure(t)
	t.Cleanup(func() {
		if err := p.end(p.death); err != nil {
			t.Error(err)
		}
	})
}

func (p *process) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}
