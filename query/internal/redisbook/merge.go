package redisbook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// AllSizes reads a page of each size of the raffle, of which there are 64 at most, and merges them. It asks for the
// sizes that it remembers. If there are others now, it asks once more.
func (r *Redis) AllSizes(ctx context.Context, q bidbook.BidsQuery, minLSN lsn.Position) (page bidbook.BidPage, at bidbook.Position, err error) {
	ask := r.client.Request()
	defer ask.Release()
	known := r.outlines.get(q.RaffleID)
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) { writeMerge(ask, e, q, known.sizes) })
	if err != nil {
		return page, p.at, err
	}
	bids, seen, err := readMerge(ask, q, known.sizes)
	if err == nil && seen != nil {
		r.outlines.put(q.RaffleID, outline{product: known.product, sizes: seen})
		sizes := seen
		if err := r.again(ctx, ask, p, func(e readmodel.Epoch) { writeMerge(ask, e, q, sizes) }); err != nil {
			return page, p.at, err
		}
		if bids, seen, err = readMerge(ask, q, sizes); err == nil && seen != nil {
			err = fmt.Errorf("%w: raffle %d gets its first bids", bidbook.ErrUndecided, q.RaffleID)
		}
	}
	if errors.Is(err, errNoSizes) {
		at, err := r.missing(ctx, q.RaffleID, minLSN)
		return page, at, err
	}
	if err != nil {
		return page, p.at, err
	}
	slices.SortFunc(bids, func(a, b readmodel.Bid) int {
		return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
	page.Bids, page.More = bidbook.Cut(bids, q.Limit)
	return page, p.at, nil
}

func writeMerge(ask *request, e readmodel.Epoch, q bidbook.BidsQuery, sizes []int16) {
	ask.Add("SMEMBERS", e.Sizes(q.RaffleID))
	for _, size := range sizes {
		writePage(ask, e.Newest(q.RaffleID, size), backwards, q.After, q.Limit+1)
	}
}

// errNoSizes says that the set of the raffle's sizes is not whole.
var errNoSizes = fmt.Errorf("%w: its sizes", bidbook.ErrUndecided)

// readMerge reads what writeMerge has asked for, the bids of one size after those of another. If the raffle has other
// sizes than those, it returns the sizes instead.
func readMerge(ask *request, q bidbook.BidsQuery, sizes []int16) (bids []readmodel.Bid, others []int16, err error) {
	seen, err := readSizes(&ask.Replies)
	switch {
	case errors.Is(err, bidbook.ErrUndecided):
		return nil, nil, errNoSizes
	case err != nil:
		return nil, nil, err
	case !slices.Equal(seen, sizes):
		return nil, seen, nil
	}
	for _, size := range sizes {
		n, whole := readPage(&ask.Replies, q.After)
		if err := ask.Replies.Err(); err != nil {
			return nil, nil, err
		}
		if !whole {
			return nil, nil, fmt.Errorf("%w: raffle %d size %d", bidbook.ErrUndecided, q.RaffleID, size)
		}
		for range n {
			bid, err := readmodel.ParseMember(q.RaffleID, size, ask.Replies.Bytes())
			if err != nil {
				return nil, nil, err
			}
			bids = append(bids, bid)
		}
	}
	return bids, nil, ask.Replies.Err()
}

// Best reads the raffle and then the first bid of each of its sets by price, which is not older.
func (r *Redis) Best(ctx context.Context, id int64, minLSN lsn.Position) (bidbook.BestBids, bidbook.Position, error) {
	raffle, at, err := r.Entry(ctx, id, minLSN)
	if err != nil {
		return bidbook.BestBids{}, at, err
	}
	ask := r.client.Request()
	defer ask.Release()
	best, err := r.best(ctx, ask, []int64{id}, at.At)
	if err != nil {
		return bidbook.BestBids{}, at, err
	}
	return bidbook.BestBids{Raffle: raffle, Bids: best[0]}, at, nil
}
