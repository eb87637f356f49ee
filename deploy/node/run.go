package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// restartPause is between the end of a program and its next start.
const restartPause = 500 * time.Millisecond

// keepBoth is the only program of a container: it keeps PostgreSQL and the node's agent running until SIGTERM. Both need
// one space of processes, because the agent finds the server by its folder in /proc and signals it. If the server had a
// container of its own, a space that both share would end with that container, and the agent with it.
func keepBoth(ctx context.Context, c *Config, log *slog.Logger) error {
	if err := c.clearSockets(); err != nil {
		return err
	}
	if err := c.makeFirst(ctx, log); err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	// The server outlives the agent, so that nobody takes over meanwhile.
	serverTime, stopServer := context.WithCancel(context.WithoutCancel(ctx))
	server := make(chan struct{})
	go func() {
		defer close(server)
		keep(serverTime, log, syscall.SIGINT, program, "start")
	}()
	keep(ctx, log, syscall.SIGTERM, program, "agent")
	stopServer()
	<-server
	return nil
}

// clearSockets removes the sockets of a server of an earlier container. Its pid, which the lock file of a socket names,
// may be another process's now, and PostgreSQL would not start.
func (c *Config) clearSockets() error {
	stale, err := filepath.Glob(filepath.Join(c.Socket, ".s.PGSQL.*"))
	for _, file := range stale {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// makeFirst makes the first node of a new cluster as soon as the witness answers. A node that has data is never made.
func (c *Config) makeFirst(ctx context.Context, log *slog.Logger) error {
	if c.ID != 1 || exists(c.Data+"/PG_VERSION") && !exists(c.file("initialising")) {
		return nil
	}
	for logged := ""; ; {
		err := initNode(ctx, c)
		if err == nil {
			return nil
		}
		if err.Error() != logged {
			logged = err.Error()
			log.Info("the first node is not made yet", "error", logged)
		}
		if !pause(ctx, restartPause) {
			return ctx.Err()
		}
	}
}

// keep runs a verb of the program again and again until ctx ends, and then waits for its end after the signal.
func keep(ctx context.Context, log *slog.Logger, stop os.Signal, program, verb string) {
	for ctx.Err() == nil {
		cmd := exec.CommandContext(ctx, program, verb)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(stop) }
		err := cmd.Run()
		if ctx.Err() != nil {
			return
		}
		log.Warn("a program has ended and is started again", "program", verb, "end", cmd.ProcessState.String(), "error", err)
		pause(ctx, restartPause)
	}
}
