package verify

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
)

// orders are the two keys of a set.
var orders = [2]kind{newest, highest}

// chunkMembers is how many members are read in one go: Redis serves nobody else meanwhile, some 0.3 us
// for each.
const chunkMembers = 2000

// chunk are sets that are read at one moment.
type chunk struct {
	sets  []set
	large bool
}

// tally is what was found in one key: its digest and how many scores are not the member's.
type tally struct {
	digest
	wrong     int
	structure bool // it is not a sorted set
	whole     bool // it has its sentinel
}

// reading is a chunk as Redis had it at a checkpoint.
type reading struct {
	chunk
	checkpoint string
	tallies    [][2]tally
}

// chunks parts sets, by the number of members that they should have.
func (m *model) chunks(all []set) []chunk {
	var parts []chunk
	var c chunk
	held := 0
	for _, s := range all {
		n := 2 * int(m.digest(s).count)
		if held > 0 && held+n > chunkMembers {
			parts = append(parts, c)
			c, held = chunk{}, 0
		}
		c.sets, c.large = append(c.sets, s), n > chunkMembers
		held += n + 10 // what an empty one costs
	}
	if len(c.sets) > 0 {
		parts = append(parts, c)
	}
	return parts
}

// compareSets compares sets of bids by their digests and returns the keys that differ.
func (c *comparison) compareSets(ctx context.Context, parts []chunk, told func(members int64)) (bad []key, err error) {
	r, err := newSetReader(ctx, c.client.Options(), c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.conn.Close()) }()
	for {
		differ, again, err := c.comparePass(ctx, r, parts, told)
		bad = append(bad, differ...)
		if err != nil || len(again) == 0 {
			return bad, err
		}
		// What could not be compared is read again once there is a checkpoint that can be.
		if err := c.exactly(ctx, func() (string, error) { return checkpoint(ctx, c.client) }); err != nil {
			return nil, err
		}
		parts = again
	}
}

// comparePass compares each chunk once; again are those that could not be compared yet.
func (c *comparison) comparePass(ctx context.Context, r *setReader, parts []chunk, told func(members int64)) (bad []key, again []chunk, err error) {
	readings := make(chan reading, 2)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(readings)
		return r.read(ctx, parts, readings)
	})
	g.Go(func() error {
		for got := range readings {
			differ, err := c.judge(ctx, got)
			if errors.Is(err, errNotYet) {
				again = append(again, got.chunk)
				continue
			}
			if err != nil {
				return err
			}
			bad = append(bad, differ...)
			told(got.members())
		}
		return nil
	})
	err = g.Wait()
	return bad, again, err
}

// judge compares a reading with the model at the reading's position.
func (c *comparison) judge(ctx context.Context, got reading) (bad []key, err error) {
	if err := c.settle(ctx, got.checkpoint); err != nil {
		return nil, err
	}
	for i, s := range got.sets {
		want := *c.source.model.digest(s)
		for order, t := range got.tallies[i] {
			if t.digest != want || t.wrong > 0 || t.structure || !t.whole && c.source.model.needsSentinel(s) {
				bad = append(bad, key{orders[order], s})
			}
		}
	}
	c.keys += int64(2 * len(got.sets))
	return bad, nil
}

func (r *reading) members() (n int64) {
	for _, t := range r.tallies {
		n += t[0].count + t[1].count
	}
	return n
}

// sortSets orders sets by raffle and size.
func sortSets(all []set) {
	slices.SortFunc(all, func(a, b set) int {
		if a.raffle != b.raffle {
			return int(min(max(a.raffle-b.raffle, -1), 1))
		}
		return int(a.size) - int(b.size)
	})
}
