package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// ErrOtherPipeline is returned for a Redis that another pipeline fills. Nothing in it is changed. The fencing would keep
// the read model right, but each of the two would take it from the other again and again.
var ErrOtherPipeline = errors.New("redis holds the read model of another pipeline")

// noName is the value of readmodel.PipelineKey for the unnamed pipeline.
const noName = "-"

// other fails if Redis is another pipeline's. It is called before anything is written.
func (s *session) other(ctx context.Context) error {
	holder, err := holderOf(ctx, s.redis)
	if holder == nil && err == nil {
		holder = writerOf(s.state.checkpoint())
	}
	return errors.Join(err, s.refuse(holder))
}

// refuse fails if the pipeline that Redis belongs to is not this one; nil belongs to nobody.
func (s *session) refuse(holder *wal.Pipeline) error {
	if holder == nil || *holder == s.pipeline {
		return nil
	}
	return fmt.Errorf("%w: %s; this is %s: set PIPELINE or REDIS_URL right, or empty this Redis", ErrOtherPipeline, *holder, s.pipeline)
}

// enter writes the name of this pipeline into a Redis that has none, and fails if another was faster. A full Redis takes no
// name, and enter succeeds all the same; a later session writes the name.
func (s *session) enter(ctx context.Context) error {
	holder, err := holderOf(ctx, s.redis)
	if err != nil || holder != nil {
		return errors.Join(err, s.refuse(holder))
	}
	name := string(s.pipeline)
	if s.pipeline == wal.Unnamed {
		name = noName
	}
	if err := s.redis.SetNX(ctx, readmodel.PipelineKey, name, 0).Err(); err != nil && !sink.IsFull(err) {
		return fmt.Errorf("redis pipeline: %w", err)
	}
	holder, err = holderOf(ctx, s.redis)
	return errors.Join(err, s.refuse(holder))
}

// holderOf is the pipeline whose name is in Redis, nil if there is none.
func holderOf(ctx context.Context, client *redis.Client) (*wal.Pipeline, error) {
	held, err := client.Get(ctx, readmodel.PipelineKey).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("redis pipeline: %w", err)
	case held == noName:
		held = string(wal.Unnamed)
	}
	p := wal.Pipeline(held)
	return &p, nil
}

// writerOf is the pipeline that wrote a checkpoint, which may be one of a release that left no name in Redis; nil if the
// checkpoint does not tell.
func writerOf(cp *readmodel.Checkpoint) *wal.Pipeline {
	if cp == nil {
		return nil
	}
	p, ours := wal.PipelineOf(cp.Slot)
	if !ours {
		return nil
	}
	return &p
}
