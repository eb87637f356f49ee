package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// startReaper leaves a shell behind that removes dir when this process has ended. However the process ends, the
// kernel then closes the pipe that the shell reads. The servers end at the same moment, so the first tries may
// find files that a server is still writing.
func startReaper(dir string) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	keepOpen(w)
	const script = `cat >/dev/null
tries=0
until rm -rf "$1" 2>/dev/null || [ $tries -ge 100 ]; do tries=$((tries+1)); sleep 0.1; done`
	cmd := exec.Command("/bin/sh", "-c", script, "reaper", dir)
	cmd.Stdin, cmd.Dir = r, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start reaper: %w", err)
	}
	return r.Close()
}

// sweep removes the folders of test processes that have ended without their reaper.
func sweep(base string) error {
	dirs, err := filepath.Glob(filepath.Join(base, "run-*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		lock, err := lockFile(filepath.Join(dir, "lock"), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			continue
		}
		// The error is dropped, because a reaper may be removing the folder at this moment, or a dying server
		// may still be writing to it. The next sweep tries again.
		_ = os.RemoveAll(dir)
		if err == nil {
			if err := lock.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

func lockFile(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			_ = f.Close()
			return nil, err
		}
	}
}

func withLock(path string, do func() error) error {
	f, err := lockFile(path, syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer f.Close()
	return do()
}
