package main

import (
	"context"
	"time"
)

// maintainEvery is the pause between looks at the slots.
const maintainEvery = 5 * time.Second

// maintain sees to the slots. A leader keeps WAL for the other node. A standby has slots of the time when it led, which
// nobody reads and which hold its WAL back.
func (a *Agent) maintain(ctx context.Context, s Sight) error {
	now := time.Now()
	if now.Sub(a.maintained) < maintainEvery {
		return nil
	}
	a.maintained = now
	if s.Local.Primary {
		if s.Fresh && s.Record.Leader == s.Me {
			return a.server.exec(ctx, a.config.ensureSlot())
		}
		return nil
	}
	return a.server.exec(ctx, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active")
}
