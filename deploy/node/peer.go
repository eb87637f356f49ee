package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// Peer is what the other database node says of itself.
type Peer struct {
	Answers  bool
	Primary  bool
	Open     bool // it is a primary that takes writes
	Timeline int64
}

const peerTimeout = 2 * time.Second

// askAround asks the other node again and again while this standby receives nothing from it. A lost machine refuses nothing, so
// that the question takes peerTimeout. Asked before it is time to act, the question delays nothing.
func (a *Agent) askAround(ctx context.Context) {
	for pause(ctx, tick) {
		s := a.seen.Load()
		orphaned := s != nil && !s.Local.Primary && s.Gone > 0
		a.mute.Store(orphaned && !askPeer(ctx, a.config).Answers)
	}
}

// askPeer asks the other node. A node that does not answer is no error: that is what the caller wants to know.
func askPeer(ctx context.Context, c *Config) (p Peer) {
	conn := connection{url: "service=" + c.Peer, timeout: peerTimeout}
	defer conn.close()
	err := conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT NOT pg_is_in_recovery(), NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off',
			CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
			ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END`).Scan(&p.Primary, &p.Open, &p.Timeline)
	})
	p.Answers = err == nil
	return p
}
