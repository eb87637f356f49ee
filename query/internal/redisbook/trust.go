package bidbook

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// Guard knows whether Redis may be believed at all (R1): it must not evict, and it must hold the database and
// the history that the primary has.
type Guard struct {
	client  *redis.Client
	primary *primary.Watch
	log     *slog.Logger

	policy atomic.Pointer[string] // nil: not asked yet
}

// The check is one command; between two checks an evicting Redis would be believed.
const guardEvery = time.Second

// NewGuard makes a guard; Watch does its work.
func NewGuard(client *redis.Client, primary *primary.Watch, log *slog.Logger) *Guard {
	return &Guard{client: client, primary: primary, log: log}
}

// Watch checks the policy of Redis every second until ctx ends.
func (g *Guard) Watch(ctx context.Context) error {
	tick := time.NewTicker(guardEvery)
	defer tick.Stop()
	for {
		g.checkPolicy(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// checkPolicy keeps the last answer while Redis gives none: then the lookups fail by themselves. Managed servers
// refuse CONFIG GET, but not INFO.
func (g *Guard) checkPolicy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, guardEvery)
	defer cancel()
	info, err := g.client.Info(ctx, "memory").Result()
	if err != nil {
		level := slog.LevelDebug
		if redis.HasErrorPrefix(err, "NOPERM") {
			level = slog.LevelError
		}
		g.log.Log(ctx, level, "policy of redis not read", "error", err)
		return
	}
	_, policy, _ := strings.Cut(info, "\nmaxmemory_policy:")
	policy, _, _ = strings.Cut(policy, "\r")
	if was := g.policy.Swap(&policy); policy != "noeviction" && (was == nil || *was != policy) {
		g.log.ErrorContext(ctx, "redis may evict and is not used: set maxmemory-policy noeviction", "maxmemory-policy", policy)
	}
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

// believes checks a checkpoint. As long as no database was seen, any is accepted: Redis is all there is.
func (g *Guard) believes(c readmodel.Checkpoint) error {
	s := g.primary.State()
	if s.SystemID != 0 && s.SystemID != c.SystemID {
		return fmt.Errorf("%w: it is of the database %d, not of %d", ErrIncomplete, c.SystemID, s.SystemID)
	}
	if c.Applying {
		return fmt.Errorf("%w: a large transaction is being applied", ErrIncomplete)
	}
	err := g.primary.Vouch(primary.Copy{At: c.Position(), Beat: c.Beat, Last: primary.Commit{Begins: c.Commit, At: c.CommitAt}, Server: c.Server})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrIncomplete, err)
	}
	return nil
}
