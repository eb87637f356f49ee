package redisbook

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// Bids reads one sorted set.
func (r *Redis) Bids(ctx context.Context, q bidbook.BidsQuery, minLSN lsn.Position) (bidbook.BidPage, bidbook.Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) { writeBids(ask, e, q) })
	if err != nil {
		return bidbook.BidPage{}, p.at, err
	}
	n, whole := readPage(&ask.Replies, q.After)
	if !whole && ask.Replies.Err() == nil {
		// A set that isn't whole is either one without bids, which isn't there, or lost: ask for both at once.
		p, err = r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) {
			ask.Add("SMISMEMBER", e.Sizes(q.RaffleID), readmodel.RaffleKnown, strconv.Itoa(int(q.Size)))
			writeBids(ask, e, q)
		})
		if err != nil {
			return bidbook.BidPage{}, p.at, err
		}
		known := readFlags(&ask.Replies, 2)
		n, whole = readPage(&ask.Replies, q.After)
		if none := known[0] && !known[1] && n == 0; none {
			return bidbook.BidPage{Bids: q.Buf[:0]}, p.at, ask.Replies.Err()
		}
		if ask.Replies.Err() == nil && !known[0] {
			at, err := r.missing(ctx, q.RaffleID, minLSN)
			return bidbook.BidPage{}, at, err
		}
		if ask.Replies.Err() == nil && !whole {
			return bidbook.BidPage{}, p.at, fmt.Errorf("%w: raffle %d size %d", bidbook.ErrUndecided, q.RaffleID, q.Size)
		}
	}
	bids := q.Buf[:0]
	for range min(n, q.Limit) {
		b, err := readmodel.ParseMember(q.RaffleID, q.Size, ask.Replies.Bytes())
		if err != nil {
			return bidbook.BidPage{}, p.at, err
		}
		bids = append(bids, b)
	}
	return bidbook.BidPage{Bids: bids, More: n > q.Limit}, p.at, ask.Replies.Err()
}

func writeBids(ask *request, e readmodel.Epoch, q bidbook.BidsQuery) {
	if q.Order == bidbook.Newest {
		writePage(ask, e.Newest(q.RaffleID, q.Size), backwards, q.After, q.Limit+1)
		return
	}
	writePage(ask, e.Highest(q.RaffleID, q.Size), forwards, q.After, q.Limit+1)
}
