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

// ErrWorks is returned for a pipeline that can't be removed, because a replicator of it runs.
var ErrWorks = errors.New("a replicator of the pipeline works")

// ErrOtherSystem is returned for a Redis whose read model is of another primary than the one that gave the lock, so that
// the lock keeps nobody from writing there.
var ErrOtherSystem = errors.New("redis holds the read model of another system")

// Dropped is what the removal of a pipeline has removed.
type Dropped struct {
	Pipeline wal.Pipeline `json:"pipeline"`
	Slots    []string     `json:"slots"`
	Keys     int64        `json:"keys"`
}

// Drop removes a pipeline: its slots, so that the primary keeps no WAL for it any more, and, unless client is nil, its read
// model. It holds the lock of the pipeline meanwhile. It fails with ErrWorks, and removes nothing, if a replicator has it,
// and with ErrOtherPipeline or ErrOtherSystem if the read model is that of another pipeline or primary.
func Drop(ctx context.Context, servers []wal.Server, p wal.Pipeline, client *redis.Client) (d Dropped, err error) {
	d = Dropped{Pipeline: p, Slots: []string{}}
	node, err := wal.Find(ctx, servers, 0)
	if err != nil {
		return d, err
	}
	c, err := openControl(ctx, node, p)
	if err != nil {
		return d, err
	}
	defer c.close()
	got, err := c.tryLock(ctx)
	switch {
	case err != nil:
		return d, err
	case !got:
		return d, fmt.Errorf("%w: stop all replicators of %s before", ErrWorks, p)
	}
	if client != nil {
		if err := errors.Join(Mine(ctx, client, p), ofSystem(ctx, client, node.System)); err != nil {
			return d, err
		}
	}
	if err := d.dropSlots(ctx, c); err != nil || client == nil {
		return d, err
	}
	d.Keys, err = empty(ctx, client)
	return d, err
}

// dropSlots drops the slots. A slot may be in use for some seconds after its replicator was lost.
func (d *Dropped) dropSlots(ctx context.Context, c *control) error {
	slots, err := wal.Slots(ctx, c.conn)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if d.Pipeline.SlotEpoch(s.Name) == 0 {
			continue
		}
		if s.ActivePID != 0 {
			if err := wal.Terminate(ctx, c.conn, s.ActivePID); err != nil {
				return err
			}
		}
		if err := wal.Drop(ctx, c.conn, s.Name); err != nil {
			return err
		}
		d.Slots = append(d.Slots, s.Name)
	}
	return nil
}

// Mine fails with ErrOtherPipeline if Redis has the read model of another pipeline.
func Mine(ctx context.Context, client *redis.Client, p wal.Pipeline) error {
	holder, err := holderOf(ctx, client)
	if err != nil {
		return err
	}
	if holder == nil {
		cp, err := checkpointOf(ctx, client)
		if err != nil {
			return err
		}
		holder = writerOf(cp)
	}
	if holder != nil && *holder != p {
		return fmt.Errorf("%w: %s, not %s", ErrOtherPipeline, *holder, p)
	}
	return nil
}

// ofSystem fails with ErrOtherSystem if Redis has the read model of another system.
func ofSystem(ctx context.Context, client *redis.Client, system uint64) error {
	cp, err := checkpointOf(ctx, client)
	if err == nil && cp != nil && cp.SystemID != system {
		err = fmt.Errorf("%w: %d, and PRIMARY_URL leads to %d; set REDIS_URL or PRIMARY_URL right", ErrOtherSystem, cp.SystemID, system)
	}
	return err
}

// checkpointOf is the checkpoint in Redis; nil if there is none, or none that can be read.
func checkpointOf(ctx context.Context, client *redis.Client) (*readmodel.Checkpoint, error) {
	stored, err := client.Get(ctx, readmodel.CheckpointKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("redis checkpoint: %w", err)
	}
	return state{stored: stored}.checkpoint(), nil
}

// empty removes the read model, the checkpoint first, so that nobody reads what is left. The caller holds the lock, but the
// primary takes it back if this takes longer than the session may be idle. If a replicator begins then, this fails, because
// it removes only keys without an owner.
func empty(ctx context.Context, client *redis.Client) (int64, error) {
	n, err := client.Unlink(ctx, readmodel.CheckpointKey, readmodel.RebuildKey, readmodel.ReloadKey, readmodel.ReloadedKey, readmodel.PoisonedKey,
		readmodel.EvictionsKey, readmodel.PauseKey, readmodel.PipelineKey).Result()
	if err != nil {
		return 0, fmt.Errorf("redis: %w", err)
	}
	swept, err := sink.Sweep(ctx, client, "", "", nil, 0)
	return n + swept, err
}
