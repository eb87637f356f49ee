package bidbook

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Redis reads the read model that the replicator keeps.
type Redis struct {
	client *redis.Client
	guard  *Guard
	epoch  atomic.Uint64 // the last one seen
}

// NewRedis makes a reader.
func NewRedis(client *redis.Client, guard *Guard) *Redis { return &Redis{client: client, guard: guard} }

// redisReads is how many lookups are on their way to Redis at once. More only wait for each other: a
// lookup takes Redis some 20 us, and this process about as long.
var redisReads = 8 * runtime.GOMAXPROCS(0)

// NewRedisClient makes a client for a redis:// URL of one server that gives up with the context and
// never retries: the chain's next path is the retry. It does not connect yet.
func NewRedisClient(url string) (*redis.Client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = 500 * time.Millisecond // dialling goes on in the background when a request gives up
	o.PoolSize = redisReads + 4            // the guard and the waiter have theirs
	o.MinIdleConns = 2
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o), nil
}

// Probe reads the checkpoint.
func (r *Redis) Probe(ctx context.Context) (Position, error) {
	c, err := r.begin(ctx, 0, func(redis.Pipeliner, readmodel.Epoch) {})
	return position(c), err
}

func position(c readmodel.Checkpoint) Position {
	return Position{Path: PathRedis, LSN: c.LSN, LagMillis: c.LagMillis(time.Now().UnixMicro())}
}

// begin does lookups between two reads of the checkpoint, in one round trip, and returns the first
// checkpoint if both prove the lookups whole: same epoch and token, nothing half applied. The lookups
// need the epoch before it is read, so they use the last one seen, and are done again if that is over.
func (r *Redis) begin(ctx context.Context, min readmodel.LSN, lookups func(redis.Pipeliner, readmodel.Epoch)) (readmodel.Checkpoint, error) {
	if err := r.guard.usable(); err != nil {
		return readmodel.Checkpoint{}, err
	}
	for range 2 {
		epoch := readmodel.Epoch(r.epoch.Load())
		pipe := r.client.Pipeline()
		first := pipe.Get(ctx, readmodel.CheckpointKey)
		lookups(pipe, epoch)
		second := pipe.Get(ctx, readmodel.CheckpointKey)
		if err := exec(ctx, pipe); err != nil {
			return readmodel.Checkpoint{}, err
		}
		c, err := r.checkpoint(first)
		if err != nil {
			return c, err
		}
		if c.LSN < min {
			return c, fmt.Errorf("%w: at %s", ErrBehind, c.LSN)
		}
		if c.Epoch == epoch {
			return c, r.same(c, second)
		}
		r.epoch.Store(uint64(c.Epoch))
	}
	return readmodel.Checkpoint{}, fmt.Errorf("%w: the epoch changed twice", ErrIncomplete)
}

// again does further lookups of the same answer: they count only if the checkpoint after them still
// has the epoch and the token of the first.
func (r *Redis) again(ctx context.Context, c readmodel.Checkpoint, lookups func(redis.Pipeliner, readmodel.Epoch)) error {
	pipe := r.client.Pipeline()
	lookups(pipe, c.Epoch)
	after := pipe.Get(ctx, readmodel.CheckpointKey)
	if err := exec(ctx, pipe); err != nil {
		return err
	}
	return r.same(c, after)
}

func (r *Redis) same(c readmodel.Checkpoint, after *redis.StringCmd) error {
	c2, err := r.checkpoint(after)
	if err == nil && (c2.Epoch != c.Epoch || c2.Token != c.Token) {
		err = fmt.Errorf("%w: another epoch or replicator took over", ErrIncomplete)
	}
	return err
}

func (r *Redis) checkpoint(cmd *redis.StringCmd) (readmodel.Checkpoint, error) {
	if errors.Is(cmd.Err(), redis.Nil) {
		return readmodel.Checkpoint{}, fmt.Errorf("%w: no checkpoint", ErrIncomplete)
	}
	c, err := readmodel.ParseCheckpoint(cmd.Val())
	if err != nil {
		return c, err
	}
	return c, r.guard.believes(c)
}

// exec sends the pipeline and returns the first error; a missing value is none.
func exec(ctx context.Context, pipe redis.Pipeliner) error {
	cmds, err := pipe.Exec(ctx)
	if err == nil {
		return nil
	}
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("redis %s: %w", cmd.Name(), err)
		}
	}
	return nil
}
