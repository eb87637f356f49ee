package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// unlinkIf removes keys only while the guard KEYS[1] carries the token ARGV[1]: a replicator that was
// stopped in the middle of a sweep must not remove what its successor has built since.
var unlinkIf = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if not held or not string.find(held, ' ' .. ARGV[1] .. ' ', 1, true) then return -1 end
if #KEYS == 1 then return 0 end
return redis.call('UNLINK', unpack(KEYS, 2))`)

const sweepBatch = 500

// epochs is a set of epochs.
type epochs map[readmodel.Epoch]bool

// sweep unlinks the keys of every epoch but keep, guarded by a key that carries token, and rests pause
// after each batch. It returns how many keys it removed.
func sweep(ctx context.Context, client *redis.Client, guard, token string, keep epochs, pause time.Duration) (int64, error) {
	var removed int64
	var cursor uint64
	for {
		keys, next, err := client.Scan(ctx, cursor, readmodel.EpochKeys, sweepBatch).Result()
		if err != nil {
			return removed, fmt.Errorf("sweep: %w", err)
		}
		old := []string{guard}
		for _, key := range keys {
			if e, ours := readmodel.EpochOf(key); ours && !keep[e] {
				old = append(old, key)
			}
		}
		n, err := unlink(ctx, client, old, token)
		if err != nil {
			return removed, err
		}
		removed += n
		if cursor = next; cursor == 0 {
			return removed, nil
		}
		if err := wait(ctx, pause); err != nil {
			return removed, err
		}
	}
}

func unlink(ctx context.Context, client *redis.Client, keys []string, token string) (int64, error) {
	if len(keys) == 1 {
		return 0, nil
	}
	n, err := unlinkIf.Run(ctx, client, keys, token).Int64()
	if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	if n < 0 {
		return 0, errors.Join(errors.New("sweep"), errFenced)
	}
	return n, nil
}

// wait waits unless the context ends first.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
