package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// How many divergent keys, and how many members of them, are looked into with one snapshot: they are in
// memory.
const (
	examineKeys    = 500
	examineMembers = 500_000
)

// suspect is a key that differs, and about how much it must hold.
type suspect struct {
	key
	weight int
}

// examine looks into divergent keys member by member, with a new snapshot, and mends them if that is
// wanted. Without a repair it stops after Details keys.
func (r *run) examine(ctx context.Context, suspects []suspect) error {
	if !r.Repair {
		suspects = suspects[:min(len(suspects), r.Details)]
	}
	var some []key
	held := 0
	for i, s := range suspects {
		some = append(some, s.key)
		held += s.weight
		if i+1 < len(suspects) && len(some) < examineKeys && held+suspects[i+1].weight <= examineMembers {
			continue
		}
		if err := r.examineSome(ctx, some); err != nil {
			return err
		}
		some, held = nil, 0
	}
	return nil
}

func (r *run) examineSome(ctx context.Context, keys []key) error {
	source, err := r.open(ctx, exactModel(keys))
	if err != nil {
		return err
	}
	defer source.close()
	c := &comparison{client: r.client, limit: r.limit, epoch: r.epoch, source: source}
	differences := make(map[key]difference)
	if err := c.compareContents(ctx, keys, func(k key, d difference) { differences[k] = d }); err != nil {
		return err
	}
	left := maps.Clone(differences)
	if r.Repair {
		if left, err = c.repair(ctx, differences); err != nil {
			return err
		}
	}
	for _, k := range keys {
		f := newFinding(r.epoch, k, differences[k])
		if _, still := left[k]; r.Repair && !still {
			f.Repaired = true
			r.report.Repaired++
		}
		if len(r.report.Findings) < r.Details {
			r.report.Findings = append(r.report.Findings, f)
		}
	}
	return nil
}

// exactModel keeps the members of the sets among the keys.
func exactModel(keys []key) *model {
	m := newModel(Scope{To: Everything.To}, newHasher())
	m.only = make(map[int64]bool)
	for _, k := range keys {
		switch k.kind {
		case newest, highest:
			m.members[k.set] = make(content)
			m.only[k.raffle] = true
		case sizes, raffle:
			m.only[k.raffle] = true
		default:
			m.scope.Globals = true
		}
	}
	return m
}

// repair mends keys and returns those that differ again, or still.
func (c *comparison) repair(ctx context.Context, differences map[key]difference) (map[key]difference, error) {
	for k, d := range differences {
		// What is not there is not served. Half of it would be, so it is written at once.
		there, err := c.client.Exists(ctx, k.name(c.epoch)).Result()
		if err != nil {
			return nil, fmt.Errorf("repair of %s: %w", k.name(c.epoch), err)
		}
		most := mendFields
		if there == 0 || d.structure != "" {
			most = max(len(d.fields()), 1)
		}
		for fields := range slices.Chunk(d.fields(), most) {
			if err := c.mend(ctx, k, fields); err != nil {
				return nil, fmt.Errorf("repair of %s: %w", k.name(c.epoch), err)
			}
		}
		if d.structure != "" && len(d.fields()) == 0 {
			if err := c.mend(ctx, k, nil); err != nil {
				return nil, fmt.Errorf("repair of %s: %w", k.name(c.epoch), err)
			}
		}
	}
	left := make(map[key]difference)
	err := c.compareContents(ctx, slices.Collect(maps.Keys(differences)), func(k key, d difference) { left[k] = d })
	return left, err
}

const (
	mendFields = 500
	mendTries  = 1000
)

// mend makes fields of a key what they must be. It writes only if neither the key nor the checkpoint has
// changed since they were read: a bid that is cancelled in between must not come back. That is a matter
// of a millisecond, so it is tried often.
func (c *comparison) mend(ctx context.Context, k key, fields []string) error {
	deadline := time.Now().Add(patience)
	for range mendTries {
		err := c.client.Watch(ctx, func(tx *redis.Tx) error { return c.mendOnce(ctx, tx, k, fields) },
			readmodel.CheckpointKey, k.name(c.epoch))
		switch {
		case errors.Is(err, redis.TxFailedErr):
			continue
		case errors.Is(err, errNotYet) && time.Now().Before(deadline):
			if err := pause(ctx, retryEvery); err != nil {
				return err
			}
			continue
		}
		return err
	}
	return errors.New("redis changes too fast")
}

func (c *comparison) mendOnce(ctx context.Context, tx *redis.Tx, k key, fields []string) error {
	stored, err := checkpoint(ctx, tx)
	if err != nil {
		return err
	}
	got, err := k.fields(ctx, tx, c.epoch, fields)
	if err != nil {
		return err
	}
	if err := c.settle(ctx, stored); err != nil {
		return err
	}
	want := c.source.model.content(k)
	_, err = tx.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		if got.structure != "" {
			pipe.Del(ctx, k.name(c.epoch))
		}
		for _, field := range fields {
			value, needed := want[field]
			if actual, ok := got.content[field]; ok == needed && actual == value {
				continue
			}
			if err := k.write(ctx, pipe, c.epoch, field, value, needed); err != nil {
				return err
			}
		}
		if pipe.Len() > 0 && (k.kind == raffle || k.kind == raffles || k.kind == products) {
			// Whoever keeps an encoded list must see that it is another one.
			pipe.Append(ctx, c.epoch.RafflesVersion(), "+")
		}
		return nil
	})
	return err
}
