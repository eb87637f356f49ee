package verify

import (
	"context"
	"fmt"
	"maps"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// whole is the part that a key belongs to.
func (k key) whole() readmodel.Part {
	p := k.part()
	if p.Raffle != 0 {
		p.Size = 0
	}
	return p
}

// pendingParts are the parts that wait for a reload or lack a row: nobody reads them, so they may differ.
func pendingParts(ctx context.Context, client *redis.Client) (map[readmodel.Part]bool, error) {
	names, err := client.SUnion(ctx, readmodel.ReloadKey, readmodel.PoisonedKey).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	parts := make(map[readmodel.Part]bool)
	for _, name := range names {
		if p, err := readmodel.ParsePart(name); err == nil {
			if p.Raffle != 0 {
				p.Size = 0
			}
			parts[p] = true
		}
	}
	return parts, nil
}

// known are the parts of divergent keys that were known not to be whole at some time since the comparison began:
// before it, after it, or in between, which their reload tells.
func (r *run) known(ctx context.Context, bad []key, s *source) (map[readmodel.Part]bool, error) {
	if len(bad) == 0 {
		return nil, nil
	}
	known, err := pendingParts(ctx, r.client)
	if err != nil {
		return nil, err
	}
	maps.Copy(known, r.before)
	maps.Copy(known, s.model.poisoned)
	for _, k := range bad {
		at, err := orEmpty(r.client.HGet(ctx, readmodel.ReloadedKey, k.whole().String()).Result())
		if err != nil {
			return nil, err
		}
		if reloaded, err := lsn.Parse(at); err == nil && reloaded >= s.start {
			known[k.whole()] = true
		}
	}
	return known, nil
}
