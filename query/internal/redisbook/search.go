package redisbook

import (
	"context"
	"fmt"
	"slices"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// Search goes through the raffles and products that are kept, and reads the best bids of the raffles that it has found
// in one pipeline. What is read later is not older than the position of the answer.
func (r *Redis) Search(ctx context.Context, q bidbook.SearchQuery, minLSN lsn.Position) (page bidbook.FoundPage, at bidbook.Position, err error) {
	ask := r.client.Request()
	defer ask.Release()
	c, at, err := r.catalogue(ctx, ask, minLSN)
	if err == nil && c == nil {
		err = errNotKept
	}
	if err != nil {
		return page, at, err
	}
	var g *goods
	if q.Product || q.Filter != (bidbook.Filter{}) {
		g, _, err = r.goods(ctx, ask, at.At)
		if err == nil && g == nil {
			err = errNotKept
		}
		if err != nil {
			return page, at, err
		}
	}
	page, whole := c.search(q, g, r.Clock.Now().UnixMicro())
	if !whole {
		return page, at, errNotKept
	}
	if q.Highest {
		err = r.addHighest(ctx, ask, page.Found, at.At)
	}
	return page, at, err
}

// search returns a page of the raffles that a query chooses, or false if it needs a raffle or a product that is not
// kept.
func (c *catalogue) search(q bidbook.SearchQuery, g *goods, now int64) (page bidbook.FoundPage, whole bool) {
	l := c.listing(q.Status, now)
	chosen := map[int64]int{} // by product
	for i := behind(l, q.After); i < len(l.Raffles); i++ {
		found := bidbook.FoundRaffle{Raffle: l.Raffles[i]}
		if g != nil {
			n, seen := chosen[found.Raffle.ProductID]
			if !seen {
				n = g.choose(found.Raffle.ProductID, q.Filter)
				chosen[found.Raffle.ProductID] = n
			}
			if n == unknown {
				return page, false
			}
			if n == refused {
				continue
			}
			if q.Product {
				found.Product = g.all[n]
			}
		}
		if len(page.Found) == q.Limit {
			page.More = true
			return page, true
		}
		page.Found = append(page.Found, found)
	}
	return page, !c.more
}

func (r *Redis) addHighest(ctx context.Context, ask *request, found []bidbook.FoundRaffle, minLSN lsn.Position) error {
	ids := make([]int64, len(found))
	for i := range found {
		ids[i] = found[i].Raffle.ID
	}
	best, err := r.best(ctx, ask, ids, minLSN)
	if err != nil {
		return err
	}
	for i, bids := range best {
		for _, b := range bids {
			found[i].Highest = max(found[i].Highest, b.Price)
		}
	}
	return nil
}

// best reads the best bid of each size of raffles, the smallest size first. It asks for the sizes that it remembers. If
// there are others now, it asks once more.
func (r *Redis) best(ctx context.Context, ask *request, ids []int64, minLSN lsn.Position) ([][]readmodel.Bid, error) {
	sizes := make([][]int16, len(ids))
	for i, id := range ids {
		sizes[i] = r.outlines.get(id).sizes
	}
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) { writeBest(ask, e, ids, sizes) })
	if err != nil {
		return nil, err
	}
	best, seen, err := readBest(ask, ids, sizes)
	if err != nil || seen == nil {
		return best, err
	}
	for i, id := range ids {
		r.outlines.put(id, outline{product: r.outlines.get(id).product, sizes: seen[i]})
	}
	if err := r.again(ctx, ask, p, func(e readmodel.Epoch) { writeBest(ask, e, ids, seen) }); err != nil {
		return nil, err
	}
	best, others, err := readBest(ask, ids, seen)
	if err == nil && others != nil {
		err = errNotKept // a size has just got its first bid
	}
	return best, err
}

func writeBest(ask *request, e readmodel.Epoch, ids []int64, sizes [][]int16) {
	for i, id := range ids {
		ask.Add("SMEMBERS", e.Sizes(id))
		ask.Rows(2 * len(sizes[i]))
		for _, size := range sizes[i] {
			ask.Add("ZRANGE", e.Highest(id, size), "0", "1") // the sentinel and the best bid
		}
	}
}

// readBest reads what writeBest has asked for. If a raffle has other sizes than those, it returns the sizes of all
// instead.
func readBest(ask *request, ids []int64, sizes [][]int16) (best [][]readmodel.Bid, others [][]int16, err error) {
	best, seen, same := make([][]readmodel.Bid, len(ids)), make([][]int16, len(ids)), true
	for i, id := range ids {
		if seen[i], err = readSizes(&ask.Replies); err != nil {
			return nil, nil, fmt.Errorf("raffle %d: %w", id, err)
		}
		right := slices.Equal(seen[i], sizes[i])
		same = same && right
		for _, size := range sizes[i] {
			bid, whole, err := readFirst(ask, id, size)
			if err != nil {
				return nil, nil, err
			}
			if !whole && right {
				return nil, nil, fmt.Errorf("%w: raffle %d size %d", bidbook.ErrUndecided, id, size)
			}
			best[i] = append(best[i], bid)
		}
	}
	if !same {
		return nil, seen, nil
	}
	return best, nil, nil
}

// readFirst reads the first bid of a set behind the sentinel. A set that is whole has one.
func readFirst(ask *request, raffleID int64, size int16) (bid readmodel.Bid, whole bool, err error) {
	n := ask.Replies.Len()
	whole = n > 0 && isSentinel(&ask.Replies) && n > 1
	for range n - 1 {
		if member := ask.Replies.Bytes(); whole {
			bid, err = readmodel.ParseMember(raffleID, size, member)
		}
	}
	if ask.Replies.Err() != nil {
		err = ask.Replies.Err()
	}
	return bid, whole, err
}
