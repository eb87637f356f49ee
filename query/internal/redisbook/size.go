package redisbook

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// SizeBids reads the newest bids of a size. The set is capped, so SQL answers a page that would reach down to dropped
// bids. SQL also answers if the set is not whole.
func (r *Redis) SizeBids(ctx context.Context, q bidbook.SizeQuery, minLSN lsn.Position) (bidbook.BidPage, bidbook.Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) { writeSize(ask, e, q) })
	if err != nil {
		return bidbook.BidPage{}, p.at, err
	}
	n, whole := readPage(&ask.Replies, q.After)
	if !whole && ask.Replies.Err() == nil {
		return r.noSize(ctx, ask, q, minLSN)
	}
	bids := q.Buf[:0]
	for i := range n {
		member := ask.Replies.Bytes()
		if i == q.Limit {
			break
		}
		b, err := readmodel.ParseSizeMember(q.Size, member)
		if err != nil {
			return bidbook.BidPage{}, p.at, err
		}
		bids = append(bids, b)
	}
	floor := ask.Replies.Bytes()
	if err := ask.Replies.Err(); err != nil {
		return bidbook.BidPage{}, p.at, err
	}
	page := bidbook.BidPage{Bids: bids, More: n > q.Limit}
	return page, p.at, aboveFloor(page, q.Size, floor)
}

func writeSize(ask *request, e readmodel.Epoch, q bidbook.SizeQuery) {
	writePage(ask, e.SizeNewest(q.Size), backwards, q.After, q.Limit+1)
	ask.Add("GET", e.SizeFloor(q.Size)) // after the set, so that bids dropped in between count
}

// noSize answers for a size that has no whole set. The size has no bids if the set of all sizes is whole and lacks
// it, and if it has no set of its own.
func (r *Redis) noSize(ctx context.Context, ask *request, q bidbook.SizeQuery, minLSN lsn.Position) (bidbook.BidPage, bidbook.Position, error) {
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) {
		ask.Add("SMISMEMBER", e.AllSizes(), readmodel.RaffleKnown, strconv.Itoa(int(q.Size)))
		writeSize(ask, e, q)
	})
	if err != nil {
		return bidbook.BidPage{}, p.at, err
	}
	known := readFlags(&ask.Replies, 2)
	n, _ := readPage(&ask.Replies, q.After)
	if ask.Replies.Err() == nil && (!known[0] || known[1] || n > 0) {
		return bidbook.BidPage{}, p.at, fmt.Errorf("%w: no whole set of size %d", bidbook.ErrUndecided, q.Size)
	}
	return bidbook.BidPage{Bids: q.Buf[:0]}, p.at, ask.Replies.Err()
}

// aboveFloor returns nil if the page ends above all bids that were dropped from its set.
func aboveFloor(page bidbook.BidPage, size int16, floor []byte) error {
	switch {
	case floor == nil: // every whole set has one
		return fmt.Errorf("%w: no floor of size %d", bidbook.ErrUndecided, size)
	case string(floor) == "0": // nothing was ever dropped
		return nil
	case !page.More:
		return fmt.Errorf("%w: size %d reaches to its floor", bidbook.ErrUndecided, size)
	}
	at, err := strconv.ParseInt(string(floor), 10, 64)
	if err != nil {
		return fmt.Errorf("floor of size %d: %w", size, readmodel.ErrCorrupt)
	}
	if page.Bids[len(page.Bids)-1].CreatedAt <= at {
		return fmt.Errorf("%w: size %d reaches below its floor", bidbook.ErrUndecided, size)
	}
	return nil
}
