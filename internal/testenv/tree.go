package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// killTree ends the process and its children by kill -9, all at once, because the children of a killed server
// may otherwise finish their work. Servers here have no grandchildren.
func (p *process) killTree() error {
	if !p.running() {
		return nil
	}
	// The parent is stopped first, so that it neither forks nor reacts to the end of a child.
	pids, err := p.signalTree(syscall.SIGSTOP)
	if err != nil {
		return err
	}
	if err := errors.Join(p.end(syscall.SIGKILL), signalEach(pids, syscall.SIGKILL)); err != nil {
		return err
	}
	err = poll(stopBudget, func() error {
		for _, pid := range pids {
			if !gone(pid) {
				return errNotYet
			}
		}
		return nil
	})
	parent, _ := p.state()
	pids = append(pids, parent)
	return errors.Join(err, removeSharedMemory(pids), removeSemaphores(pids))
}

// signalTree signals the process first, then its children. Process groups would not do, because PostgreSQL's
// backends are leaders of their own sessions.
func (p *process) signalTree(sig syscall.Signal) ([]int, error) {
	if !p.running() {
		return nil, nil
	}
	if err := p.signal(sig); err != nil {
		return nil, err
	}
	parent, _ := p.state()
	if sig == syscall.SIGSTOP { // a fork that is under way ends first, so that its child is among the children
		if err := poll(stopBudget, func() error { return stopped([]int{parent}) }); err != nil {
			return nil, err
		}
	}
	pids, err := children(parent)
	if err != nil {
		return nil, err
	}
	return pids, signalEach(pids, sig)
}

func signalEach(pids []int, sig syscall.Signal) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			return err
		}
	}
	return nil
}

// children lists the processes whose parent is pid, without zombies.
func children(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if state, parent, ok := stat(child); ok && parent == pid && state != "Z" {
			found = append(found, child)
		}
	}
	return found, nil
}

// stat reads state and parent from /proc/PID/stat (proc(5)); the name before them may hold spaces.
func stat(pid int) (state string, parent int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 2 {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}

func gone(pid int) bool {
	state, _, ok := stat(pid)
	return !ok || state == "Z"
}

// Descendants lists the children of a process and their descendants.
func Descendants(t testing.TB, pid int) []int {
	t.Helper()
	pids, err := children(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range pids {
		pids = append(pids, Descendants(t, child)...)
	}
	return pids
}

// Left is an error that names those of the processes that have not ended, and nil if all have.
func Left(pids []int) error {
	var errs []error
	for _, pid := range pids {
		if !gone(pid) {
			command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			errs = append(errs, err, fmt.Errorf("process %d %q is left", pid, command))
		}
	}
	return errors.Join(errs...)
}
