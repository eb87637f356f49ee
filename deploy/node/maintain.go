package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// A node's surroundings are looked at every maintainEvery. pgpool-II is asked as often while the node is young, because that is
// when it was down, and seldom later, because it logs each question.
const (
	maintainEvery = 2 * time.Second
	young         = time.Minute
	attachSlow    = 30 * time.Second
)

// maintain sees to pgpool-II and to the slots until ctx ends. It has a server and a pace of its own, because pgpool-II may hang.
func (a *Agent) maintain(ctx context.Context) {
	server := newServer(a.config)
	var since, asked time.Time // the node has its role; pgpool-II was asked
	var archived int64         // the timeline before which the archive has no gap
	logged, primary := "", false
	for pause(ctx, maintainEvery) {
		s := a.seen.Load()
		if s == nil {
			since = time.Time{}
			continue
		}
		now := time.Now()
		if since.IsZero() || primary != s.Local.Primary {
			since, primary = now, s.Local.Primary
		}
		err := a.keepSlots(ctx, server, s)
		if inRole := s.Fresh && (s.Record.Leader == s.Me) == s.Local.Primary; err == nil && inRole &&
			(now.Sub(since) < young || now.Sub(asked) > attachSlow) {
			asked = now
			err = a.config.attach(ctx, primary)
		}
		if leads := s.Fresh && s.Record.Leader == s.Me && s.Local.Primary && !s.Local.Closed; err == nil && leads && archived != s.Local.Timeline {
			if err = a.config.fillArchive(ctx); err == nil {
				archived = s.Local.Timeline
			}
		}
		line := ""
		if err != nil {
			line = err.Error()
		}
		if line != logged && line != "" {
			a.log.Warn("a slot, pgpool-II or the archive can't be put right", "error", line)
		}
		logged = line
	}
}

// keepSlots keeps WAL for the other node while this one leads. A standby has slots of the time when it led, which nobody
// reads and which hold its WAL back; it may have been promoted since the last look.
func (a *Agent) keepSlots(ctx context.Context, server *Server, s *Sight) error {
	switch {
	case !s.Local.Primary:
		return server.exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND pg_is_in_recovery()")
	case s.Fresh && s.Record.Leader == s.Me:
		return server.exec(ctx, a.config.ensureSlot())
	}
	return nil
}

// attach tells pgpool-II to use this node again. pgpool-II detaches a node that was down and never takes back a primary,
// nor any node once all were down. It looks which node is the primary only when a node goes or comes, so a primary that it takes
// for a standby goes and comes. It numbers the nodes from 0. A pgpool-II that is away attaches all nodes when it starts.
func (c *Config) attach(ctx context.Context, primary bool) error {
	if c.PCPHost == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, localTimeout)
	defer cancel()
	args := []string{"-h", c.PCPHost, "-p", strconv.Itoa(c.PCPPort), "-U", "pgpool", "-w", "-n", strconv.Itoa(c.ID - 1)}
	out, err := exec.CommandContext(ctx, "pcp_node_info", args...).CombinedOutput()
	switch {
	case ctx.Err() != nil, strings.Contains(string(out), "could not connect"), strings.Contains(string(out), "Connection refused"):
		return nil
	case err != nil:
		return failed("pcp_node_info", err, out)
	}
	// HOST PORT STATUS WEIGHT STATUS-NAME ITS-STATUS ROLE ITS-ROLE ...
	const down = "3"
	f := strings.Fields(string(out))
	switch {
	case len(f) < 8:
		return fmt.Errorf("pcp_node_info says %q", out)
	case f[2] == down:
	case primary && f[6] != "primary":
		if err := run(ctx, "pcp_detach_node", args...); err != nil {
			return err
		}
	default:
		return nil
	}
	return run(ctx, "pcp_attach_node", args...)
}
