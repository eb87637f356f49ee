package redisbook

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// Trust knows whether Redis may be believed at all (R1): it must not evict, and it must hold the database and
// the history that the primary has.
type Trust struct {
	client  *redis.Client
	primary *primary.Watch
	log     *slog.Logger
	health  *health

	policy atomic.Pointer[string] // nil until Redis has answered
}

// trustEvery is the time between two checks, which cost one command each. A Redis that begins to evict is believed
// until the next check.
const trustEvery = time.Second

// NewTrust makes a Trust, which believes nothing before Watch has asked Redis, and registers its metrics.
func NewTrust(client *redis.Client, primary *primary.Watch, log *slog.Logger, reg prometheus.Registerer) *Trust {
	return &Trust{client: client, primary: primary, log: log, health: newHealth(reg)}
}

// Watch checks the policy of Redis every second until ctx ends.
func (t *Trust) Watch(ctx context.Context) error {
	tick := time.NewTicker(trustEvery)
	defer tick.Stop()
	for {
		t.checkPolicy(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// checkPolicy asks Redis for its policy. If Redis does not answer, the last policy stays, because lookups fail by
// themselves then.
func (t *Trust) checkPolicy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, trustEvery)
	defer cancel()
	info, err := redisinfo.Read(ctx, t.client)
	if err != nil {
		t.health.up.Set(0)
		level := slog.LevelDebug
		if redis.HasErrorPrefix(err, "NOPERM") {
			level = slog.LevelError
		}
		t.log.Log(ctx, level, "policy of redis not read", "error", err)
		return
	}
	t.health.show(info)
	policy := info.Policy()
	if was := t.policy.Swap(&policy); policy != redisinfo.NoEviction && (was == nil || *was != policy) {
		t.log.ErrorContext(ctx, "redis may evict and is not used: set maxmemory-policy noeviction", "maxmemory-policy", policy)
	}
}

// usable fails until the policy is known to be right.
func (t *Trust) usable() error {
	policy := t.policy.Load()
	if policy == nil {
		return fmt.Errorf("%w: its eviction policy is not known yet", bidbook.ErrIncomplete)
	}
	if *policy != redisinfo.NoEviction {
		return fmt.Errorf("%w: redis may evict", bidbook.ErrIncomplete)
	}
	return nil
}

// believes checks a checkpoint. As long as no database was seen, a checkpoint of any database is accepted, because
// Redis is all there is.
func (t *Trust) believes(c readmodel.Checkpoint) error {
	s := t.primary.State()
	if s.SystemID != 0 && s.SystemID != c.SystemID {
		return fmt.Errorf("%w: it is of the database %d, not of %d", bidbook.ErrIncomplete, c.SystemID, s.SystemID)
	}
	if c.Applying {
		return fmt.Errorf("%w: a large transaction is being applied", bidbook.ErrIncomplete)
	}
	err := t.primary.Vouch(primary.Copy{At: c.Position(), Beat: c.Beat, Last: primary.Commit{Begins: c.Commit, At: c.CommitAt}, Server: c.Server})
	if err != nil {
		return fmt.Errorf("%w: %w", bidbook.ErrIncomplete, err)
	}
	return nil
}
