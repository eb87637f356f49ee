package main

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// maintainEvery is the pause between looks at the node's surroundings.
const maintainEvery = 2 * time.Second

// maintain sees to pgpool-II and to the slots. A leader keeps WAL for the other node. A standby has slots of the time when it led, which
// nobody reads and which hold its WAL back.
func (a *Agent) maintain(ctx context.Context, s Sight) error {
	now := time.Now()
	if now.Sub(a.maintained) < maintainEvery {
		return nil
	}
	a.maintained = now
	if s.Fresh && (s.Record.Leader == s.Me) == s.Local.Primary {
		if err := a.attach(ctx, now); err != nil {
			return err
		}
	}
	switch {
	case !s.Local.Primary:
		return a.server.exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
	case s.Fresh && s.Record.Leader == s.Me:
		return a.server.exec(ctx, a.config.ensureSlot())
	}
	return nil
}

// pgpool-II is asked often while the node is young, because that is when it was down, and seldom later, because it logs each
// question.
const (
	young      = time.Minute
	attachSlow = 30 * time.Second
)

func (a *Agent) attach(ctx context.Context, now time.Time) error {
	if a.started.IsZero() {
		a.started = now
	}
	if now.Sub(a.started) > young && now.Sub(a.asked) < attachSlow {
		return nil
	}
	a.asked = now
	return a.config.attach(ctx)
}

// attach tells pgpool-II to use this node again. pgpool-II detaches a node that was down and never takes back a primary,
// nor any node once all were down. It numbers the nodes from 0.
func (c *Config) attach(ctx context.Context) error {
	if c.PCPHost == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	args := []string{"-h", c.PCPHost, "-p", strconv.Itoa(c.PCPPort), "-U", "pgpool", "-w", "-n", strconv.Itoa(c.ID - 1)}
	out, err := exec.CommandContext(ctx, "pcp_node_info", args...).Output()
	if err != nil {
		return nil // pgpool-II is away, and attaches all nodes when it starts
	}
	// HOST PORT STATUS ...
	const down = "3"
	if f := strings.Fields(string(out)); len(f) < 3 || f[2] != down {
		return nil
	}
	return run(ctx, "pcp_attach_node", args...)
}
