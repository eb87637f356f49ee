package verify

import (
	"context"
	"fmt"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// barrier is the wal.Handler that applies the stream to a model and stops it at a target position. There the model is
// compared with what Redis answered at that position. The model does not change until reach sets the next target.
type barrier struct {
	model *model
	plans map[uint32]tables.Plan

	mu     sync.Mutex
	moved  sync.Cond // signals a change of target, at or err
	target wal.LSN
	at     wal.LSN // the model has everything that was committed up to here and nothing after it
	err    error   // why the stream has ended
}

var _ wal.Handler = (*barrier)(nil)

func newBarrier(m *model, from wal.LSN) *barrier {
	g := &barrier{model: m, plans: make(map[uint32]tables.Plan), target: from, at: from}
	g.moved.L = &g.mu
	return g
}

// reach returns when the model stands exactly at a position, which must not be before the last one. The position must
// not lie within a commit record.
func (g *barrier) reach(ctx context.Context, to wal.LSN) error {
	defer context.AfterFunc(ctx, func() { g.end(context.Cause(ctx)) })()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = to
	g.moved.Broadcast()
	for g.at < to && g.err == nil {
		g.moved.Wait()
	}
	return g.err
}

// waiting returns the position of the model, and pending if reach waits for the stream.
func (g *barrier) waiting() (at wal.LSN, pending bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.at, g.at < g.target
}

// end ends the stream with an error and wakes up reach and Begin.
func (g *barrier) end(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
	g.moved.Broadcast()
}

// Begin holds the stream before a transaction that is after the target. A position lies between records, so a commit
// record that begins before the target also ends at it or before.
func (g *barrier) Begin(t wal.Transaction) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t.Final >= g.target && g.err == nil {
		if g.at < g.target {
			g.at = g.target
			g.moved.Broadcast()
		}
		g.moved.Wait()
	}
	return g.err
}

// Commit makes barrier a wal.Handler.
func (g *barrier) Commit(end wal.LSN) error {
	g.mu.Lock()
	target := g.target
	g.mu.Unlock()
	if end > target {
		return fmt.Errorf("the checkpoint's position %s is within the commit record that ends at %s", target, end)
	}
	return g.Position(end)
}

// Position makes barrier a wal.Handler.
func (g *barrier) Position(at wal.LSN) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = max(g.at, at)
	g.moved.Broadcast()
	return g.err
}

// Describe makes barrier a wal.Handler.
func (g *barrier) Describe(r *wal.Relation) error {
	p, err := tables.NewPlan(r)
	g.plans[r.ID] = p
	return err
}

// Row makes barrier a wal.Handler.
func (g *barrier) Row(m *wal.Message) error {
	p := g.plans[m.Relation.ID]
	if p.Table == tables.Other {
		return nil
	}
	var old, now *wal.Row
	if m.Kind != wal.Insert {
		old = &m.Old
	}
	if m.Kind != wal.Delete {
		now = &m.New
	}
	return g.model.change(p, old, now)
}

// Truncate makes barrier a wal.Handler.
func (g *barrier) Truncate(relations []*wal.Relation) error {
	for _, r := range relations {
		g.model.truncate(tables.Of(r.Name))
	}
	return nil
}

// Logical makes barrier a wal.Handler.
func (g *barrier) Logical(_, _ []byte) error { return nil }
