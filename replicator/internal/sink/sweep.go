package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// unlinkIf removes keys only while the guard KEYS[1] carries the token ARGV[1]. Otherwise a replicator that was stopped
// in the middle of a sweep would remove what its successor has built since.
var unlinkIf = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if not held or not string.find(held, ' ' .. ARGV[1] .. ' ', 1, true) then return -1 end
if #KEYS == 1 then return 0 end
return redis.call('UNLINK', unpack(KEYS, 2))`)

// unlinkUnowned removes keys only while the checkpoint KEYS[1] and the mark KEYS[2] are both missing, because then no
// epoch is served or being built.
var unlinkUnowned = redis.NewScript(`
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return -1 end
if #KEYS == 2 then return 0 end
return redis.call('UNLINK', unpack(KEYS, 3))`)

// removeIf removes KEYS[1] if it carries the token ARGV[1] or its value is ARGV[2]. A key that is missing already is no
// error.
var removeIf = redis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[2] and not string.find(held, ' ' .. ARGV[1] .. ' ', 1, true) then return -1 end
return redis.call('UNLINK', KEYS[1])`)

// Remove removes a guard that carries the token or has exactly the value. If the guard is another writer's, Remove
// fails with ErrFenced.
func Remove(ctx context.Context, client *redis.Client, guard, token, value string) error {
	n, err := removeIf.Run(ctx, client, []string{guard}, token, value).Int64()
	if err != nil {
		return fmt.Errorf("remove %s: %w", guard, err)
	}
	if n < 0 {
		return fmt.Errorf("remove %s: %w", guard, ErrFenced)
	}
	return nil
}

const sweepBatch = 500

// Epochs is a set of epochs.
type Epochs map[readmodel.Epoch]bool

// Sweep unlinks the keys of all epochs except those in keep, and rests for pause after each batch. It goes on only
// while the guard carries the token or, without a guard, while no epoch is served or being built. It returns the number
// of keys that it removed.
func Sweep(ctx context.Context, client *redis.Client, guard, token string, keep Epochs, pause time.Duration) (int64, error) {
	var removed int64
	var cursor uint64
	for {
		keys, next, err := client.Scan(ctx, cursor, readmodel.EpochKeys, sweepBatch).Result()
		if err != nil {
			return removed, fmt.Errorf("sweep: %w", err)
		}
		var old []string
		for _, key := range keys {
			if e, ours := readmodel.EpochOf(key); ours && !keep[e] {
				old = append(old, key)
			}
		}
		n, err := unlink(ctx, client, guard, token, old)
		if err != nil {
			return removed, err
		}
		removed += n
		if cursor = next; cursor == 0 {
			return removed, nil
		}
		if err := sleep.For(ctx, pause); err != nil {
			return removed, err
		}
	}
}

func unlink(ctx context.Context, client *redis.Client, guard, token string, keys []string) (int64, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	script, guards := unlinkIf, []string{guard}
	if guard == "" {
		script, guards = unlinkUnowned, []string{readmodel.CheckpointKey, readmodel.RebuildKey}
	}
	n, err := script.Run(ctx, client, append(guards, keys...), token).Int64()
	if err != nil {
		return 0, fmt.Errorf("sweep: %w", err)
	}
	if n < 0 {
		return 0, errors.Join(errors.New("sweep"), ErrFenced)
	}
	return n, nil
}

// NoToken is a token that no guard carries.
const NoToken = "\x00"

// IsFull says whether Redis refused a write because it has no memory left. The error may be that of one command or of
// an EXEC.
func IsFull(err error) bool {
	return err != nil && strings.Contains(err.Error(), "OOM command not allowed")
}
