package session

import (
	"context"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// freeMemory removes the keys that are not served from a full Redis, which still executes UNLINK. If a rebuild does not
// fit beside the served epoch, the served epoch is removed as well, because otherwise every later rebuild would fail
// too. It only removes guards that this session wrote or found at its beginning.
func (s *session) freeMemory(ctx context.Context) error {
	served, streaming := s.board.Served()
	if before := s.state.checkpoint(); served.Token != s.token && before != nil { // claim could not write the token
		served = *before
	}
	if streaming || s.reason == status.Resume {
		n, err := sink.Sweep(ctx, s.redis, readmodel.CheckpointKey, served.Token, sink.Epochs{served.Epoch: true}, 0)
		s.log.Error("redis is full and the read model stands still: raise maxmemory", "removed_keys", n)
		return err
	}
	for guard, before := range map[string]string{readmodel.CheckpointKey: s.state.stored, readmodel.RebuildKey: s.state.mark} {
		if err := sink.Remove(ctx, s.redis, guard, s.token, before); err != nil {
			return err
		}
	}
	s.board.Applied(readmodel.Checkpoint{})
	n, err := sink.Sweep(ctx, s.redis, "", "", nil, 0)
	s.log.Error("redis is too full for a rebuild beside the served epoch: all epochs are given up and SQL answers until one fits; "+
		"raise maxmemory to twice the read model's size", "removed_keys", n)
	return err
}
