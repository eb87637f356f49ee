package session

import (
	"context"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/apply"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// gate opens a gate on a connection of its own.
func (s *session) gate(ctx context.Context) (*apply.Gate, error) {
	ctx, cancel := context.WithTimeout(ctx, setUpTime)
	defer cancel()
	conn, err := openSame(ctx, s.control.node, map[string]string{"application_name": "replicator-gate"})
	if err != nil {
		return nil, fmt.Errorf("gate: %w", err)
	}
	return apply.NewGate(wal.NewStandbys(conn), s.board, s.log), nil
}

// await waits until a position may be shown (P14). The snapshot of a new slot may show a commit that still waits for a
// standby: it shows what was flushed before the position of the slot, visible or not.
func (s *session) await(ctx context.Context, at lsn.LSN) error {
	gate, err := s.gate(ctx)
	if err != nil {
		return err
	}
	defer s.closeQuietly(gate.Close)
	return gate.Await(ctx, at)
}
