package bidbook

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Guard knows whether Redis may be believed at all (R1): it must not evict, and it must hold the
// database that the SQL paths read.
type Guard struct {
	client    *redis.Client
	standby   *pgxpool.Pool
	timelines *Timelines
	log       *slog.Logger

	policy   atomic.Pointer[string] // nil: not asked yet
	systemID atomic.Uint64          // 0: not known yet
}

// The check is one command; between two checks an evicting Redis would be believed.
const (
	guardEvery    = time.Second
	identityEvery = 30 // checks of the policy
)

// NewGuard makes a guard; Watch does its work.
func NewGuard(client *redis.Client, standby *pgxpool.Pool, timelines *Timelines, log *slog.Logger) *Guard {
	return &Guard{client: client, standby: standby, timelines: timelines, log: log}
}

// Watch checks the policy of Redis every second, and now and then which database the standby path
// reads, until ctx ends.
func (g *Guard) Watch(ctx context.Context) error {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		g.checkPolicy(ctx)
		g.checkTimelines(ctx)
		if n%identityEvery == 0 || g.systemID.Load() == 0 {
			g.checkIdentity(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// checkPolicy keeps the last answer while Redis gives none: then the lookups fail by themselves.
func (g *Guard) checkPolicy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, guardEvery)
	defer cancel()
	settings, err := g.client.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil {
		g.log.DebugContext(ctx, "policy of redis not read", "error", err)
		return
	}
	policy := settings["maxmemory-policy"]
	if was := g.policy.Swap(&policy); policy != "noeviction" && (was == nil || *was != policy) {
		g.log.ErrorContext(ctx, "redis may evict and is not used: set maxmemory-policy noeviction", "maxmemory-policy", policy)
	}
}

func (g *Guard) checkIdentity(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, guardEvery)
	defer cancel()
	var id int64
	if err := g.standby.QueryRow(ctx, "SELECT system_identifier FROM pg_control_system()").Scan(&id); err != nil {
		g.log.DebugContext(ctx, "identity of the database not read", "error", err)
		return
	}
	if was := g.systemID.Swap(uint64(id)); was != uint64(id) {
		g.log.InfoContext(ctx, "identity of the database", "system_id", uint64(id), "before", was)
	}
}

// checkTimelines learns the history that the standby path has.
func (g *Guard) checkTimelines(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, guardEvery)
	defer cancel()
	const sql = `SELECT h.timeline, coalesce(t.timeline, 0), coalesce(t.parent, 0), coalesce(t.begins, '0/0')::text
		FROM (SELECT timeline FROM heartbeats ORDER BY number DESC LIMIT 1) h LEFT JOIN timelines t ON true`
	rows, err := g.standby.Query(ctx, sql)
	if err != nil {
		g.log.DebugContext(ctx, "timelines not read", "error", err)
		return
	}
	var present, timeline, parent uint32
	var begins string
	var branches []lsn.Branch
	_, err = pgx.ForEachRow(rows, []any{&present, &timeline, &parent, &begins}, func() error {
		at, err := lsn.Parse(begins)
		branches = append(branches, lsn.Branch{Timeline: timeline, Parent: parent, Begins: at})
		return err
	})
	if err != nil {
		g.log.DebugContext(ctx, "timelines not read", "error", err)
		return
	}
	g.timelines.Learn(lsn.NewHistory(present, branches))
}

// usable fails until the policy is known to be right.
func (g *Guard) usable() error {
	policy := g.policy.Load()
	if policy == nil {
		return fmt.Errorf("%w: its eviction policy is not known yet", ErrIncomplete)
	}
	if *policy != "noeviction" {
		return fmt.Errorf("%w: redis may evict", ErrIncomplete)
	}
	return nil
}

// believes checks a checkpoint. While the database's identity isn't known, any is accepted: then no SQL
// path has answered yet, and Redis is all there is.
func (g *Guard) believes(c readmodel.Checkpoint) error {
	if id := g.systemID.Load(); id != 0 && id != c.SystemID {
		return fmt.Errorf("%w: it is of the database %d, not of %d", ErrIncomplete, c.SystemID, id)
	}
	if c.Applying {
		return fmt.Errorf("%w: a large transaction is being applied", ErrIncomplete)
	}
	return nil
}
