package redisbook

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// SizeBids reads the newest bids of a size. The set is capped: a page that would reach down to what was
// dropped is SQL's, and so is a set that is not whole.
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
	ask.Add("GET", e.SizeFloor(q.Size)) // after the set: what is dropped in between counts
}

// noSize says what it means that a size has no whole set: no bids, if it is none of all sizes and has no set either.
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

// aboveFloor says whether the page ends above what was dropped from its set.
func aboveFloor(page bidbook.BidPage, size int16, floor []byte) error {
	switch {
	case floor == nil: // it comes with the set
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
