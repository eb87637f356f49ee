package verify

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// listing is the keys of an epoch in Redis, ordered by raffle. One SCAN serves all slices of a pass. Keys that are made
// or removed during the SCAN may be missing or not. A key takes about 24 bytes.
type listing struct {
	epoch readmodel.Epoch
	keys  []key
}

func (l *listing) scan(ctx context.Context, client *redis.Client, e readmodel.Epoch) error {
	l.epoch, l.keys = 0, l.keys[:0]
	var cursor uint64
	for {
		names, next, err := client.Scan(ctx, cursor, readmodel.EpochKeys, contentKeys).Result()
		if err != nil {
			return fmt.Errorf("redis scan: %w", err)
		}
		for _, name := range names {
			if k, of, ok := parseKey(name); ok && of == e {
				l.keys = append(l.keys, k)
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	slices.SortFunc(l.keys, func(a, b key) int { return cmp.Compare(a.raffle, b.raffle) })
	l.epoch = e
	return nil
}

// in returns the keys in a scope. In the listing, keys of no raffle come first.
func (l *listing) in(s Scope) map[key]bool {
	there := make(map[key]bool)
	if s.Globals {
		for _, k := range l.keys {
			if k.raffle != 0 {
				break
			}
			there[k] = true
		}
	}
	from, _ := slices.BinarySearchFunc(l.keys, s.After+1, func(k key, raffle int64) int { return cmp.Compare(k.raffle, raffle) })
	for _, k := range l.keys[from:] {
		if k.raffle > s.To {
			break
		}
		if s.covers(k) {
			there[k] = true
		}
	}
	return there
}
