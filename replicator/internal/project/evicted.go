package project

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// errRedisUnfit is returned for a Redis that may drop keys by itself (R1).
var errRedisUnfit = errors.New("redis must run with maxmemory-policy noeviction")

// errEvicted says that the read model lacks what Redis has evicted.
var errEvicted = errors.New("redis has evicted keys")

// redisWhole refuses a Redis that may evict, and asks for a rebuild if it has since the last one: while
// no replicator ran, or under a policy that was wrong for a while.
func (r *Replicator) redisWhole(ctx context.Context) error {
	now, err := checkRedis(ctx, r.redis)
	if err != nil {
		return err
	}
	before, err := r.redis.Get(ctx, readmodel.EvictionsKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("redis evictions: %w", err)
	}
	if evictedSince(before, now) {
		r.forced = Evicted
	}
	r.evictions = now
	return nil
}

// redisFit refuses a Redis that may evict or has evicted during the session.
func (r *Replicator) redisFit(ctx context.Context) error {
	now, err := checkRedis(ctx, r.redis)
	if err == nil && evictedSince(r.evictions, now) {
		err = errEvicted
	}
	return err
}

// checkRedis returns errRedisUnfit for a wrong policy, and how many keys this run of the server has
// evicted so far, as run_id:evicted_keys.
func checkRedis(ctx context.Context, client *redis.Client) (evictions string, err error) {
	info, err := redisInfo(ctx, client)
	if err != nil {
		return "", err
	}
	if _, err := strconv.ParseInt(info["evicted_keys"], 10, 64); err != nil {
		return "", fmt.Errorf("redis info: evicted_keys: %w", err)
	}
	if policy := info["maxmemory_policy"]; policy != "noeviction" {
		return "", fmt.Errorf("%w, not %s", errRedisUnfit, policy)
	}
	return info["run_id"] + ":" + info["evicted_keys"], nil
}

// redisInfo asks INFO and not CONFIG GET: it is allowed everywhere.
func redisInfo(ctx context.Context, client *redis.Client) (map[string]string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, fmt.Errorf("redis info: %w", err)
	}
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info, nil
}

// evictedSince compares two answers of checkRedis. The count begins anew with each run of the server; a
// missing answer is that of a run that has evicted nothing.
func evictedSince(before, now string) bool {
	run, count, _ := strings.Cut(now, ":")
	oldRun, old, known := strings.Cut(before, ":")
	if !known || oldRun != run {
		old = "0"
	}
	return count != old
}
