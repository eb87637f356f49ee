package apply

import (
	"context"
	"maps"
	"slices"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
)

// copy starts the goroutine that reads the parts from a snapshot.
func (a *applier) copy(ctx context.Context, rl *reload) {
	ctx, rl.cancel = context.WithCancel(ctx)
	rl.loader = snapshot.ForParts(a.Pipeline, a.Server, a.Checkpoint.Epoch, a.Plain)
	parts := make(map[readmodel.Part][]int16)
	for part, l := range rl.journal.Parts {
		parts[part] = slices.Collect(maps.Keys(l.Sizes))
	}
	cp := a.Checkpoint
	a.group.Go(func() error {
		got, err := rl.loader.CopyParts(ctx, a.Redis, parts, cp)
		got.Err = err
		rl.copied <- got
		return nil
	})
}
