package main

import (
	"context"
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
	server, pool := newServer(a.config), pool{config: a.config, log: a.log}
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
			err = pool.keep(ctx, primary)
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
