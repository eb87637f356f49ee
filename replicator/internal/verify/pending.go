package verify

import (
	"context"
	"fmt"
	"maps"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// whole is the part to which a key belongs, without the size of a raffle.
func (k key) whole() readmodel.Part {
	p := k.part()
	if p.Raffle != 0 {
		p.Size = 0
	}
	return p
}

// pendingParts returns the parts that wait for a reload or have a poisoned row. They may differ, because nobody reads
// them.
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

// known returns the parts of divergent keys that were known to be incomplete at some time during the comparison: at its
// beginning, at its end, or in between, which the position of their last reload shows.
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
