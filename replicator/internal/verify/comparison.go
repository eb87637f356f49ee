package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

var (
	// errEpoch says that another epoch is served now, so the comparison must begin anew.
	errEpoch = errors.New("the read model was rebuilt meanwhile")
	// errNotYet says that an answer of Redis can't be compared, but a later one may be.
	errNotYet = errors.New("not comparable yet")
)

// comparison compares one epoch with one source.
type comparison struct {
	client *redis.Client
	limit  *rate.Limiter
	epoch  readmodel.Epoch
	source *source
	keys   int64 // keys compared so far
}

// patience is how long a comparison waits for an answer that can be compared, because of a large transaction, a
// replicator that restarts, or a lag.
const patience = 20 * time.Second

const retryEvery = 10 * time.Millisecond

// settle moves the model to the position of a checkpoint from Redis. On errNotYet the caller needs a later checkpoint.
func (c *comparison) settle(ctx context.Context, stored string) error {
	if stored == "" {
		return fmt.Errorf("%w: Redis has no checkpoint, so it is being rebuilt or no replicator runs", errNotYet)
	}
	cp, err := readmodel.ParseCheckpoint(stored)
	if err != nil {
		return err
	}
	at, _ := c.source.waiting()
	switch system := c.source.system; {
	case cp.Epoch != c.epoch:
		return errEpoch
	case cp.SystemID != system.ID || cp.Timeline != system.Timeline:
		return fmt.Errorf("%w: Redis follows another system or timeline: is PRIMARY_URL that of the replicator?", errNotYet)
	case cp.Applying:
		return fmt.Errorf("%w: a large transaction is only partly in Redis", errNotYet)
	case cp.LSN < at:
		return fmt.Errorf("%w: Redis stands at %s, before the snapshot at %s: the replicator is behind or does not run", errNotYet, cp.LSN, at)
	}
	return c.source.reach(ctx, cp.LSN)
}

// exactly calls read until the model can be moved to the checkpoint that came with what was read.
func (c *comparison) exactly(ctx context.Context, read func() (checkpoint string, err error)) error {
	deadline := time.Now().Add(patience)
	for {
		checkpoint, err := read()
		if err == nil {
			err = c.settle(ctx, checkpoint)
		}
		if !errors.Is(err, errNotYet) || time.Now().After(deadline) {
			return err
		}
		if err := sleep.For(ctx, retryEvery); err != nil {
			return err
		}
	}
}

// checkpoint reads the checkpoint; "" if it is missing.
func checkpoint(ctx context.Context, client redis.Cmdable) (string, error) {
	return orEmpty(client.Get(ctx, readmodel.CheckpointKey).Result())
}

func orEmpty(value string, err error) (string, error) {
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("redis: %w", err)
	}
	return value, nil
}
