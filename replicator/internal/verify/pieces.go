package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// place is the place of a bid or a raffle in a sorted set. Fields behind the prefix may change without a change of
// place. PageAfter continues after a place, so a piece must also end with one.
type place struct {
	score  float64
	prefix string
}

// placeOf returns the place of a member.
func placeOf(score float64, member string) place {
	return place{score, member[:min(readmodel.PrefixLen, len(member))]}
}

func (p place) compare(o place) int {
	switch {
	case p.score < o.score:
		return -1
	case p.score > o.score:
		return 1
	}
	return strings.Compare(p.prefix, o.prefix)
}

// between returns the content of a sorted set after one place and up to another. nil means from the beginning, or to
// the end.
func (c content) between(after, to *place) content {
	part := make(content)
	for member, score := range c {
		v, err := strconv.ParseFloat(score, 64)
		at := placeOf(v, member)
		if err == nil && (after == nil || at.compare(*after) > 0) && (to == nil || at.compare(*to) <= 0) {
			part[member] = score
		}
	}
	return part
}

// compareSorted compares the content of a large sorted set in pieces, each at the checkpoint read with it.
func (c *comparison) compareSorted(ctx context.Context, k key) (d difference, err error) {
	var after *place
	for {
		var got found
		var last place
		var n int
		err := c.exactly(ctx, func() (checkpoint string, err error) {
			checkpoint, got, last, n, err = c.sortedPiece(ctx, k, after)
			return checkpoint, err
		})
		if err != nil || got.structure != "" {
			d.structure = got.structure
			return d, err
		}
		to := &last
		if n < chunkMembers || last.prefix == readmodel.Sentinel && k.kind != highest {
			to = nil
		}
		want, structure := c.source.model.wanted(k, &got)
		d.add(compare(want.between(after, to), got.content))
		if d.structure = structure; to == nil {
			d.settle()
			return d, nil
		}
		after = to
		if err := c.limit.WaitN(ctx, min(n, portion)); err != nil {
			return d, err
		}
	}
}

// sortedPiece reads the members after a place, and the checkpoint in the same MULTI. n is how many members it read.
func (c *comparison) sortedPiece(ctx context.Context, k key, after *place) (checkpoint string, got found, last place, n int, err error) {
	pipe, name := c.client.TxPipeline(), k.name(c.epoch)
	cp := pipe.Get(ctx, readmodel.CheckpointKey)
	floor := pipe.Get(ctx, c.epoch.SizeFloor(k.size)) // used only for a sizeNewest
	var page *redis.Cmd
	if after == nil {
		page = pipe.Do(ctx, "ZRANGE", name, 0, chunkMembers-1, "WITHSCORES")
	} else {
		page = pipe.Do(ctx, "EVAL_RO", readmodel.PageAfter, 1, name, "FWD", strconv.FormatFloat(after.score, 'f', -1, 64),
			after.prefix, chunkMembers, "WITHSCORES")
	}
	var refused redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &refused) {
		return "", got, last, 0, fmt.Errorf("redis: %w", err)
	}
	if checkpoint, err = orEmpty(cp.Result()); err != nil {
		return "", got, last, 0, err
	}
	got = found{content: make(content), floor: floor.Val()}
	values, err := page.Slice()
	if errors.As(err, &refused) {
		got.structure = "another type, or has members of another make"
		return checkpoint, got, last, 0, nil
	}
	if err == nil && after != nil && len(values) == 2 {
		values, _ = values[1].([]any)
	}
	for i := 0; i+1 < len(values); i += 2 {
		member, _ := values[i].(string)
		text, _ := values[i+1].(string)
		score, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return "", got, last, 0, fmt.Errorf("redis: score %q", text)
		}
		got.content[member] = number(score)
		last = placeOf(score, member)
	}
	return checkpoint, got, last, len(values) / 2, err
}

// add adds the difference of another piece.
func (d *difference) add(o difference) {
	d.missing, d.extra, d.wrong = append(d.missing, o.missing...), append(d.extra, o.extra...), append(d.wrong, o.wrong...)
}

// settle turns a member that is missing at one place and too many at another into a member with a wrong score.
func (d *difference) settle() {
	moved := slices.DeleteFunc(slices.Clone(d.missing), func(m string) bool { return !slices.Contains(d.extra, m) })
	d.missing = slices.DeleteFunc(d.missing, func(m string) bool { return slices.Contains(moved, m) })
	d.extra = slices.DeleteFunc(d.extra, func(m string) bool { return slices.Contains(moved, m) })
	d.wrong = append(d.wrong, moved...)
}

// hashPiece is how many fields of a hash are read in one MULTI.
const hashPiece = 500

// compareProducts compares the products in pieces, by the ids in the model, and then their number.
func (c *comparison) compareProducts(ctx context.Context) (d difference, err error) {
	name := c.epoch.Products()
	ids := slices.Sorted(maps.Keys(c.source.model.content(key{kind: products})))
	for some := range slices.Chunk(ids, hashPiece) {
		var values []any
		structure, err := c.atCheckpoint(ctx, func(pipe redis.Pipeliner) func() error {
			reply := pipe.HMGet(ctx, name, some...)
			return func() (err error) { values, err = reply.Result(); return err }
		})
		if err != nil || structure != "" {
			return difference{structure: structure}, err
		}
		want := c.source.model.content(key{kind: products})
		for i, id := range some {
			actual, there := values[i].(string)
			switch value, needed := want[id]; {
			case needed && !there:
				d.missing = append(d.missing, id)
			case !needed && there:
				d.extra = append(d.extra, id)
			case needed && actual != value:
				d.wrong = append(d.wrong, id)
			}
		}
	}
	var n int64
	structure, err := c.atCheckpoint(ctx, func(pipe redis.Pipeliner) func() error {
		reply := pipe.HLen(ctx, name)
		return func() (err error) { n, err = reply.Result(); return err }
	})
	if want := len(c.source.model.content(key{kind: products})); err == nil && int(n) > want {
		d.structure = fmt.Sprintf("a hash of %d fields instead of %d", n, want)
	}
	if structure != "" {
		d.structure = structure
	}
	return d, err
}

// atCheckpoint reads something and the checkpoint in the same MULTI. structure says that the key is of another type.
func (c *comparison) atCheckpoint(ctx context.Context, ask func(redis.Pipeliner) func() error) (structure string, err error) {
	err = c.exactly(ctx, func() (string, error) {
		pipe := c.client.TxPipeline()
		cp := pipe.Get(ctx, readmodel.CheckpointKey)
		result := ask(pipe)
		var refused redis.Error
		if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &refused) {
			return "", fmt.Errorf("redis: %w", err)
		}
		if err := result(); errors.As(err, &refused) {
			structure = "another type"
		}
		return orEmpty(cp.Result())
	})
	return structure, err
}
