package project

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// copy begins to read the parts from a snapshot.
func (a *applier) copy(ctx context.Context, rl *reload) {
	ctx, rl.cancel = context.WithCancel(ctx)
	rl.loader = newLoader(a.server, "", a.checkpoint.Epoch)
	rl.loader.replace, rl.loader.plain, rl.loader.mark = true, a.r.plain, []byte(readmodel.Loading)
	parts := make(map[readmodel.Part][]int16)
	for part, l := range rl.parts {
		parts[part] = slices.Collect(maps.Keys(l.sizes))
	}
	cp := a.checkpoint
	a.group.Go(func() error {
		defer close(rl.loader.full)
		got, err := a.r.copyParts(ctx, rl.loader, parts, cp)
		got.err = err
		rl.copied <- got
		return nil
	})
}

// copyParts reads parts from the snapshot of a temporary slot and hands them over in chunks. The sizes of a
// raffle are those that may be known to nothing else.
func (r *Replicator) copyParts(ctx context.Context, l *loader, parts map[readmodel.Part][]int16, cp readmodel.Checkpoint) (got copied, err error) {
	got.entries, got.stored, got.sized = make(map[int64]string), make(map[int64][]int16), make(map[int64][]int16)
	for part, sizes := range parts {
		if part.Raffle == 0 {
			continue
		}
		if got.stored[part.Raffle], err = r.storedSizes(ctx, cp.Epoch, part.Raffle, sizes); err != nil {
			return got, err
		}
	}
	stream, snapshot, err := l.server.Temporary(ctx)
	if err != nil {
		return got, err
	}
	defer stream.Close()
	l.snapshot, got.at = snapshot.Name, snapshot.LSN
	err = l.read(ctx, func(ctx context.Context, r *reading) error {
		for part := range parts {
			if err := r.part(ctx, part, &got); err != nil {
				return err
			}
		}
		return notTruncated(ctx, r.tx)
	})
	if err != nil {
		return got, err
	}
	system, err := stream.Identify(ctx)
	if err == nil && (system.ID != cp.SystemID || system.Timeline != cp.Timeline) {
		err = errors.New("the copy was made from another server than the stream's")
	}
	return got, err
}

// storedSizes are the sizes of which a raffle may have sets now.
func (r *Replicator) storedSizes(ctx context.Context, e readmodel.Epoch, raffle int64, sizes []int16) ([]int16, error) {
	stored, err := r.redis.SUnion(ctx, e.Sizes(raffle), e.AllSizes()).Result()
	if err != nil {
		return nil, fmt.Errorf("sizes of raffle %d: %w", raffle, err)
	}
	for _, text := range stored {
		if size, err := strconv.ParseInt(text, 10, 16); err == nil && size > 0 {
			sizes = append(sizes, int16(size))
		}
	}
	return sizes, nil
}
