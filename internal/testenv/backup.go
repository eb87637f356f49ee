package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Backup is a copy of a cluster's data folder at one moment, with its WAL and its replication slots, like a
// snapshot of the storage. A server that starts from it has the system identifier of the original, goes on from
// that moment on the same timeline, and uses the same LSNs for other WAL.
type Backup struct{ data string }

// Backup copies the data of p, running, paused or stopped. If p runs, it stands still meanwhile.
func (p *Postgres) Backup(t testing.TB) *Backup {
	t.Helper()
	b := &Backup{filepath.Join(testFolder(t, memoryRun, "backup", p.proc.owner), "data")}
	p.proc.must(t, p.frozen(func() error { return copyData(p.data(), b.data) }))
	return b
}

// frozen runs do while no process of p runs. If p was paused before, it stays paused.
func (p *Postgres) frozen(do func() error) error {
	if !p.proc.running() || p.paused {
		return do()
	}
	err := p.pause()
	if err == nil {
		err = do()
	}
	_, resumeErr := p.proc.signalTree(syscall.SIGCONT)
	return errors.Join(err, resumeErr)
}

// pause returns when every process stands still. A process that is in a system call ends that call first.
func (p *Postgres) pause() error {
	pids, err := p.proc.signalTree(syscall.SIGSTOP)
	if err != nil {
		return err
	}
	return poll(stopBudget, func() error { return stopped(append(pids, p.PID())) })
}

func stopped(pids []int) error {
	for _, pid := range pids {
		if state, _, ok := stat(pid); ok && state != "T" && state != "Z" {
			return fmt.Errorf("process %d is not stopped yet: %s", pid, state)
		}
	}
	return nil
}

// copyData leaves out the file that marks a folder as that of a running server.
func copyData(from, to string) error {
	if err := runTool(nil, filepath.Dir(to), "cp", "-a", "--reflink=auto", from, to); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(to, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Restore replaces the data of p, which must have ended, by the data of the backup. It may be called again.
func (p *Postgres) Restore(t testing.TB, b *Backup) {
	t.Helper()
	if p.proc.running() {
		t.Fatalf("%s: restore of a running server", p.proc.name)
	}
	p.proc.must(t, os.RemoveAll(p.data()))
	p.proc.must(t, copyData(b.data, p.data()))
}

// RemoveSlots removes all replication slots of p, which must have ended, as a restore from a base backup
// does.
func (p *Postgres) RemoveSlots(t testing.TB) {
	t.Helper()
	if p.proc.running() {
		t.Fatalf("%s: slots of a running server", p.proc.name)
	}
	p.proc.must(t, p.removeSlots())
}

func (p *Postgres) removeSlots() error {
	slots, err := filepath.Glob(filepath.Join(p.data(), "pg_replslot", "*"))
	for _, slot := range slots {
		err = errors.Join(err, os.RemoveAll(slot))
	}
	return err
}

// StartFrom starts another server from a backup, on a port of its own.
func StartFrom(t testing.TB, b *Backup, opts ...Option) *Postgres {
	t.Helper()
	o := apply(opts)
	p := newPostgres(t, "restored", o)
	if err := copyData(b.data, p.data()); err != nil {
		t.Fatalf("restored: %v", err)
	}
	p.startFirst(t, o.settings)
	return p
}
