package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stack is a stack of deploy/local.
type stack struct {
	dir  string
	port int
	env  []string
}

// offsets are those of the ports. A service needs its port and, a thousand above, that of its admin listener.
var offsets = map[string]int{
	"HTTP": 0, "STATS": 1, "NODE1": 2, "NODE2": 3, "WITNESS": 4, "PGPOOL": 5, "PCP": 6, "REDIS": 7, "PROMETHEUS": 8, "ALERTMANAGER": 9, "EXPORTER": 10, "HOST": 12,
	"LINK": 20, "COMMAND": 30, "QUERY": 50, "REPLICATOR": 70,
}

func newStack(dir string, port int) *stack {
	s := &stack{dir: dir, port: port, env: append(os.Environ(), "LOCAL_DIR="+dir, "REPLICAS=1")}
	for name, offset := range offsets {
		s.env = append(s.env, fmt.Sprintf("%s_PORT=%d", name, port+offset))
	}
	return s
}

func (s *stack) url() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

func (s *stack) file(name ...string) string {
	return filepath.Join(append([]string{s.dir}, name...)...)
}

// script runs one of the scripts and shows its output.
func (s *stack) script(ctx context.Context, name string, args ...string) error {
	c := s.command(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// ask runs ctl and returns its output.
func (s *stack) ask(ctx context.Context, args ...string) (string, error) {
	c := s.command(ctx, "ctl", args...)
	var out, notes bytes.Buffer
	c.Stdout, c.Stderr = &out, &notes
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("ctl %s: %w: %s", strings.Join(args, " "), err, &notes)
	}
	return strings.TrimSpace(out.String()), nil
}

func (s *stack) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join("deploy/local", name), args...)
	c.Env = s.env
	// A script that is told to stop ends what it has begun.
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	return c
}

// until repeats what may fail at first, for a minute.
func until(ctx context.Context, do func() error) error {
	end := time.Now().Add(patience)
	for {
		err := do()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}
