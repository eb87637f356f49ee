package verify

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// contentKeys is how many keys are read in one MULTI, unless they are large.
const contentKeys = 200

// parts cuts keys into groups, each of which is read in one MULTI.
func (m *model) parts(keys []key) (all [][]key) {
	begin, held := 0, 0
	for i, k := range keys {
		n := m.weight(k)
		if i > begin && (i-begin == contentKeys || held+n > chunkMembers) {
			all = append(all, keys[begin:i])
			begin, held = i, 0
		}
		held += n
	}
	if begin < len(keys) {
		all = append(all, keys[begin:])
	}
	return all
}

// weight estimates how many members a key holds.
func (m *model) weight(k key) int {
	switch k.kind {
	case newest, highest:
		return int(m.digest(k.set).count)
	case raffles:
		return len(m.raffles)
	case products:
		return len(m.products)
	case sizeNewest:
		return len(m.sizeLatest(k.size).bids)
	}
	return 1
}

// found is what Redis has under a key.
type found struct {
	content   content
	structure string // what the key is if it is something else altogether; otherwise ""
	floor     string // of a sizeNewest
}

// compareContents compares the contents of keys and calls differs for each key that is not as it must be.
func (c *comparison) compareContents(ctx context.Context, keys []key, differs func(key, difference)) error {
	for _, some := range c.source.model.parts(keys) {
		if k := some[0]; c.source.model.weight(k) > chunkMembers {
			d, err := c.compareOne(ctx, k)
			if err != nil {
				return err
			}
			if c.keys++; !d.none() {
				differs(k, d)
			}
			continue
		}
		var all []found
		err := c.exactly(ctx, func() (checkpoint string, err error) {
			checkpoint, all, err = readContents(ctx, c.client, c.epoch, some)
			return checkpoint, err
		})
		if err != nil {
			return err
		}
		for i, k := range some {
			if d := c.source.model.differ(k, all[i]); !d.none() {
				differs(k, d)
			}
		}
		c.keys += int64(len(some))
		if err := c.limit.WaitN(ctx, len(some)); err != nil {
			return err
		}
	}
	return nil
}

// compareOne compares a key that is too large to be read in one MULTI.
func (c *comparison) compareOne(ctx context.Context, k key) (difference, error) {
	if k.kind == products {
		return c.compareProducts(ctx)
	}
	return c.compareSorted(ctx, k)
}

// differ compares a key with the model.
func (m *model) differ(k key, got found) difference {
	want, structure := m.wanted(k, &got)
	d := compare(want, got.content)
	d.structure = structure
	return d
}

// wanted returns what a key must hold. It removes what does not matter from the result and from got. structure says
// what the key is if it is something else altogether.
func (m *model) wanted(k key, got *found) (want content, structure string) {
	structure = got.structure
	switch k.kind {
	case sizeNewest:
		latest := m.sizeLatest(k.size)
		if got.floor == "" && len(latest.bids) > 0 {
			structure = "a set without its floor"
		}
		return latest.wanted(got), structure
	case newest, highest:
		if !m.needsSentinel(k.set) {
			delete(got.content, readmodel.Sentinel)
		}
	}
	return m.content(k), structure
}

// readContents reads keys and the checkpoint in one MULTI.
func readContents(ctx context.Context, client redis.Cmdable, e readmodel.Epoch, keys []key) (checkpoint string, all []found, err error) {
	pipe := client.TxPipeline()
	cp := pipe.Get(ctx, readmodel.CheckpointKey)
	floors := make([]*redis.StringCmd, len(keys))
	replies := make([]redis.Cmder, len(keys))
	for i, k := range keys {
		replies[i] = k.read(ctx, pipe, e)
		if k.kind == sizeNewest {
			floors[i] = pipe.Get(ctx, e.SizeFloor(k.size))
		}
	}
	var refused redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &refused) {
		return "", nil, fmt.Errorf("redis: %w", err)
	}
	if checkpoint, err = orEmpty(cp.Result()); err != nil {
		return "", nil, err
	}
	all = make([]found, len(keys))
	for i, reply := range replies {
		if all[i], err = take(reply); err != nil {
			return "", nil, err
		}
		if floors[i] != nil {
			all[i].floor = floors[i].Val()
		}
	}
	return checkpoint, all, nil
}

// read asks for everything that a key holds.
func (k key) read(ctx context.Context, client redis.Cmdable, e readmodel.Epoch) redis.Cmder {
	switch name := k.name(e); k.structure() {
	case "set":
		return client.SMembers(ctx, name)
	case "hash":
		return client.HGetAll(ctx, name)
	case "string":
		return client.Get(ctx, name)
	default:
		return client.ZRangeWithScores(ctx, name, 0, -1)
	}
}

// take turns a reply into content.
func take(reply redis.Cmder) (found, error) {
	c := make(content)
	switch err := reply.Err(); {
	case errors.Is(err, redis.Nil):
		return found{content: c}, nil
	case err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return found{content: c, structure: "another type"}, nil
	case err != nil:
		return found{}, fmt.Errorf("redis: %w", err)
	}
	switch r := reply.(type) {
	case *redis.StringSliceCmd:
		for _, member := range r.Val() {
			c[member] = ""
		}
	case *redis.MapStringStringCmd:
		c = r.Val()
	case *redis.StringCmd:
		c[""] = r.Val()
	case *redis.ZSliceCmd:
		for _, z := range r.Val() {
			// go-redis reads members as strings.
			c[z.Member.(string)] = number(z.Score)
		}
	}
	return found{content: c}, nil
}
