package verify

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"
)

// orders are the two keys of a set.
var orders = [2]kind{newest, highest}

// chunkMembers is how many members are read in one MULTI. Redis serves nobody else meanwhile, for some 0.3 us per
// member.
const chunkMembers = 2000

// chunk is some sets that are read in one MULTI.
type chunk struct{ sets []set }

// tally is what was found in one key: the digest of its members, and the number of members with a wrong score.
type tally struct {
	digest
	wrong     int
	structure bool // the key is not a sorted set of bids
	whole     bool // the set has its sentinel

	read            int    // members read, with the sentinel
	last, lastScore []byte // the last member read and its score
}

// reading is a chunk as Redis had it at a checkpoint.
type reading struct {
	chunk
	checkpoint string
	tallies    [][2]tally
}

// chunks divides sets by the number of members that they should have. It returns sets apart that are too large for one
// MULTI.
func (m *model) chunks(all []set) (parts []chunk, large []set) {
	var c chunk
	held := 0
	for _, s := range all {
		n := 2 * int(m.digest(s).count)
		if n > chunkMembers {
			large = append(large, s)
			continue
		}
		if held > 0 && held+n > chunkMembers {
			parts = append(parts, c)
			c, held = chunk{}, 0
		}
		c.sets = append(c.sets, s)
		held += n + 10 // the cost of an empty set
	}
	if len(c.sets) > 0 {
		parts = append(parts, c)
	}
	return parts, large
}

// compareSets compares sets of bids by their digests and returns the keys that differ.
func (c *comparison) compareSets(ctx context.Context, sets []set, progress func(members int64)) (bad []key, err error) {
	r, err := newSetReader(ctx, c.client.Options(), c)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.conn.Close()) }()
	parts, large := c.source.model.chunks(sets)
	for len(parts) > 0 {
		pass, err := c.comparePass(ctx, r, parts, progress)
		bad, large = append(bad, pass.bad...), append(large, pass.large...)
		if err != nil {
			return bad, err
		}
		if parts = pass.again; len(parts) == 0 {
			break
		}
		// Chunks that could not be compared are read again once a checkpoint can be.
		if err := c.exactly(ctx, func() (string, error) { return checkpoint(ctx, c.client) }); err != nil {
			return nil, err
		}
	}
	for _, s := range large {
		for _, order := range orders {
			k := key{order, s}
			differs, err := c.compareLarge(ctx, r, k, progress)
			if err != nil {
				return bad, err
			}
			if differs {
				bad = append(bad, k)
			}
		}
	}
	return bad, nil
}

// pass is the result of one look at chunks: the keys that differ, the chunks that could not be compared yet, and the
// sets that turned out to be large.
type pass struct {
	bad   []key
	again []chunk
	large []set
}

// comparePass compares each chunk once.
func (c *comparison) comparePass(ctx context.Context, r *setReader, parts []chunk, progress func(members int64)) (p pass, err error) {
	readings := make(chan reading, 2)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(readings)
		return r.read(ctx, parts, readings)
	})
	g.Go(func() error {
		for got := range readings {
			err := c.judge(ctx, got, &p)
			if errors.Is(err, errNotYet) {
				p.again = append(p.again, got.chunk)
				continue
			}
			if err != nil {
				return err
			}
			progress(got.members())
		}
		return nil
	})
	err = g.Wait()
	return p, err
}

// judge compares a reading with the model at the reading's position.
func (c *comparison) judge(ctx context.Context, got reading, p *pass) error {
	if err := c.settle(ctx, got.checkpoint); err != nil {
		return err
	}
	for i, s := range got.sets {
		if t := got.tallies[i]; t[0].read == chunkMembers || t[1].read == chunkMembers {
			p.large = append(p.large, s)
			continue
		}
		for order, t := range got.tallies[i] {
			if k := (key{orders[order], s}); c.differs(k, &t) {
				p.bad = append(p.bad, k)
			}
		}
		c.keys += 2
	}
	return nil
}

// differs says whether what was found in a set differs from the model, which must stand at the same position.
func (c *comparison) differs(k key, t *tally) bool {
	m := c.source.model
	return t.digest != *m.digest(k.set) || t.wrong > 0 || t.structure || !t.whole && m.needsSentinel(k.set)
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
