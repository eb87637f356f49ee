package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// errEvicted says that Redis has evicted keys, so the read model lacks something.
var errEvicted = errors.New("redis has evicted keys")

// checkEvictions refuses a Redis that may evict keys. If Redis has evicted keys since the last rebuild, while no
// replicator ran or while its policy was wrong, checkEvictions forces a rebuild.
func (r *Replicator) checkEvictions(ctx context.Context) error {
	now, err := r.evictionsNow(ctx)
	if err != nil {
		return err
	}
	before, err := r.redis.Get(ctx, readmodel.EvictionsKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redis evictions: %w", err)
	}
	if redisinfo.EvictedSince(before, now) {
		r.forced = status.Evicted
	}
	r.evictions = now
	return nil
}

// evictsNothing fails if Redis may evict keys or has evicted some during the session.
func (r *Replicator) evictsNothing(ctx context.Context) error {
	now, err := r.evictionsNow(ctx)
	if err == nil && redisinfo.EvictedSince(r.evictions, now) {
		err = errEvicted
	}
	return err
}

// evictionsNow reads Info.Evictions.
func (r *Replicator) evictionsNow(ctx context.Context) (string, error) {
	info, err := redisinfo.Read(ctx, r.redis)
	if err != nil {
		return "", err
	}
	return info.Evictions()
}
