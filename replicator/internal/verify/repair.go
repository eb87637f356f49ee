package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/pause"
)

// ErrNotReloaded is returned when no active replicator ends a reload in time.
var ErrNotReloaded = errors.New("no replicator has reloaded it")

// reloadPatience is how long Reload waits for the next part to be done.
const reloadPatience = time.Minute

// Request asks the active replicator to reload parts (readmodel.ReloadKey).
func Request(ctx context.Context, client *redis.Client, parts []readmodel.Part) error {
	if len(parts) == 0 {
		return nil
	}
	if err := client.SAdd(ctx, readmodel.ReloadKey, members(parts)...).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

func members(parts []readmodel.Part) []any {
	all := make([]any, len(parts))
	for i, p := range parts {
		all[i] = p.String()
	}
	return all
}

// Reload asks for a reload of parts and waits until they are done. During a pause it fails with ErrPaused and asks for none.
func Reload(ctx context.Context, client *redis.Client, parts []readmodel.Part, progress func(step string, done, total int64)) error {
	const step = "reloading"
	switch p, err := pause.Read(ctx, client); {
	case err != nil:
		return err
	case p != nil && len(parts) > 0:
		return ErrPaused
	}
	if err := Request(ctx, client, parts); err != nil {
		return err
	}
	progress(step, 0, int64(len(parts)))
	left, deadline := len(parts), time.Now().Add(reloadPatience)
	for {
		waiting, err := client.SMIsMember(ctx, readmodel.ReloadKey, members(parts)...).Result()
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		n := 0
		for _, waits := range waiting {
			if waits {
				n++
			}
		}
		if n < left {
			left, deadline = n, time.Now().Add(reloadPatience)
			progress(step, int64(len(parts)-n), int64(len(parts)))
		}
		switch {
		case n == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%w: %d parts wait in %s", ErrNotReloaded, n, readmodel.ReloadKey)
		}
		if err := sleep.For(ctx, 10*retryEvery); err != nil {
			return err
		}
	}
}

// part is the part to reload in order to repair a key.
func (k key) part() readmodel.Part {
	switch k.kind {
	case newest, highest:
		return readmodel.Part{Raffle: k.raffle, Size: k.size}
	case sizes, raffle:
		return readmodel.Part{Raffle: k.raffle}
	case sizeNewest:
		return readmodel.Part{Size: k.size}
	}
	return readmodel.Part{}
}

// parts returns the parts of all divergent keys.
func (r *Report) parts() (all []readmodel.Part) {
	seen := make(map[readmodel.Part]bool)
	for _, k := range r.divergent {
		if p := k.part(); !seen[p] {
			seen[p] = true
			all = append(all, p)
		}
	}
	return all
}

// repairedBut counts the keys as repaired that no longer differ in a later report.
func (r *Report) repairedBut(again Report) {
	still := make(map[string]bool)
	for _, k := range again.divergent {
		still[k.name(again.Epoch)] = true
	}
	for _, k := range r.divergent {
		if !still[k.name(r.Epoch)] {
			r.Repaired++
		}
	}
	for i := range r.Findings {
		r.Findings[i].Repaired = !still[r.Findings[i].Key]
	}
}
