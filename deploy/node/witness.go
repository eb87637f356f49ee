package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// keepWitness makes the record's table, registers the witness with the leader, and keeps repmgrd running.
func keepWitness(ctx context.Context, c *Config, log *slog.Logger) error {
	server, w := newServer(c), newWitness()
	r := &registrar{config: c, log: log}
	defer r.stop()
	made, logged := false, ""
	for pause(ctx, tick) {
		if !made {
			if err := server.makeRecord(ctx); err != nil {
				if logged != err.Error() {
					logged = err.Error()
					log.Warn("the witness is not ready", "error", logged)
				}
				continue
			}
			made = true
			log.Info("the witness is ready")
		}
		record, err := w.Read(ctx)
		if err != nil {
			made = false // the witness may have been made anew
			continue
		}
		if record.Leader == "" {
			continue
		}
		r.follow("witness of "+record.Leader, func() error { return c.registerWitness(ctx, record.Leader) })
	}
	return ctx.Err()
}

func (s *Server) makeRecord(ctx context.Context) error {
	if err := s.prepareRepmgr(ctx); err != nil {
		return err
	}
	return s.in(ctx, "repmgr", localTimeout, recordTable)
}

const registerTime = 20 * time.Second

// registerWitness copies the leader's list of nodes to the witness.
func (c *Config) registerWitness(ctx context.Context, leader string) error {
	ctx, cancel := context.WithTimeout(ctx, registerTime)
	defer cancel()
	host, port, err := c.address(leader)
	if err != nil {
		return err
	}
	if err := run(ctx, c.bin("repmgr"), "-f", c.file("repmgr.conf"), "witness", "register", "--force",
		"-h", host, "-p", port, "-U", "repmgr", "-d", "repmgr"); err != nil {
		return fmt.Errorf("register with %s: %w", leader, err)
	}
	return nil
}
