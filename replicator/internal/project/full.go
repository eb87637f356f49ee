package project

import (
	"context"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// isFull says whether Redis refused a write for want of memory, alone or as a part of an EXEC.
func isFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), "OOM command not allowed")
}

// makeRoom takes out of a full Redis what nothing is served from. A rebuild that found no room beside the
// served epoch gives that one up, too: it can't go on, and with both there it never could. Removing is
// what a full Redis still does. Only guards that this session wrote or began with are touched.
func (r *Replicator) makeRoom(ctx context.Context, s state, token string, rebuilding bool) error {
	served, streaming := r.board.served()
	if served.Token != token && s.checkpoint() != nil { // not even the token could be written
		served = *s.checkpoint()
	}
	if streaming || !rebuilding {
		n, err := sweep(ctx, r.redis, readmodel.CheckpointKey, served.Token, epochs{served.Epoch: true}, 0)
		r.log.Error("redis is full and the read model stands still: raise maxmemory", "removed_keys", n)
		return err
	}
	for guard, before := range map[string]string{readmodel.CheckpointKey: s.stored, readmodel.RebuildKey: s.mark} {
		if err := remove(ctx, r.redis, guard, token, before); err != nil {
			return err
		}
	}
	r.board.applied(readmodel.Checkpoint{})
	n, err := sweep(ctx, r.redis, "", "", nil, 0)
	r.log.Error("redis is too full for a rebuild beside the served epoch: all epochs are given up and SQL answers until one fits; "+
		"raise maxmemory to twice the read model's size", "removed_keys", n)
	return err
}
