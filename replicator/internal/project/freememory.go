package project

import (
	"context"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
)

// freeMemory removes from a full Redis the keys that are not served. If a rebuild found no room beside the served
// epoch, the served epoch is removed as well, because with it every later rebuild would fail, too. A full Redis still
// executes UNLINK. Only guards that this session wrote or began with are touched.
func (r *Replicator) freeMemory(ctx context.Context, s state, token string, rebuilding bool) error {
	served, streaming := r.board.Served()
	if served.Token != token && s.checkpoint() != nil { // not even the token could be written
		served = *s.checkpoint()
	}
	if streaming || !rebuilding {
		n, err := sink.Sweep(ctx, r.redis, readmodel.CheckpointKey, served.Token, sink.Epochs{served.Epoch: true}, 0)
		r.log.Error("redis is full and the read model stands still: raise maxmemory", "removed_keys", n)
		return err
	}
	for guard, before := range map[string]string{readmodel.CheckpointKey: s.stored, readmodel.RebuildKey: s.mark} {
		if err := sink.Remove(ctx, r.redis, guard, token, before); err != nil {
			return err
		}
	}
	r.board.Applied(readmodel.Checkpoint{})
	n, err := sink.Sweep(ctx, r.redis, "", "", nil, 0)
	r.log.Error("redis is too full for a rebuild beside the served epoch: all epochs are given up and SQL answers until one fits; "+
		"raise maxmemory to twice the read model's size", "removed_keys", n)
	return err
}
