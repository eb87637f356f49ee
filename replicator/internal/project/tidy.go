package project

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// dropLeftovers drops our slots that nobody uses, except for the named one: what interrupted rebuilds
// and former epochs left behind.
func dropLeftovers(ctx context.Context, q wal.Querier, except string) error {
	slots, err := wal.Slots(ctx, q)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if s.Name == except || s.ActivePID != 0 {
			continue
		}
		if err := wal.Drop(ctx, q, s.Name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Replicator) withConn(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.primaryURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(ctx, conn)
}

func (r *Replicator) drop(ctx context.Context, slot string) error {
	return r.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error { return wal.Drop(ctx, conn, slot) })
}

// tidyPause spreads the removal of old keys: about 50,000 keys a second.
const tidyPause = 10 * time.Millisecond

// tidy removes the slots and keys of other epochs than the served one. What fails is left to the next
// session.
func (r *Replicator) tidy(ctx context.Context, cp readmodel.Checkpoint) {
	err := r.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error { return dropLeftovers(ctx, conn, cp.Slot) })
	if err != nil && ctx.Err() == nil {
		r.log.Warn("old slots are left", "error", err)
	}
	n, err := sweep(ctx, r.redis, readmodel.CheckpointKey, cp.Token, epochs{cp.Epoch: true}, tidyPause)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("old keys are left", "error", err)
	}
	if n > 0 {
		r.log.Info("removed the keys of other epochs", "keys", n)
	}
}
