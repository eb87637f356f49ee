package bidbook

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Bids reads one sorted set. It leaves unknown raffles to SQL: not in Redis isn't the same as not there.
func (r *Redis) Bids(ctx context.Context, q BidsQuery, min readmodel.LSN) (BidPage, Position, error) {
	var known *redis.BoolSliceCmd
	var page rows
	c, err := r.begin(ctx, min, func(pipe redis.Pipeliner, e readmodel.Epoch) {
		known = pipe.SMIsMember(ctx, e.Sizes(q.RaffleID), readmodel.RaffleKnown, strconv.Itoa(int(q.Size)))
		page = queueBids(ctx, pipe, e, q)
	})
	if err != nil {
		return BidPage{}, position(c), err
	}
	members, exists, err := page.members()
	if err != nil {
		return BidPage{}, position(c), err
	}
	is := known.Val()
	if len(is) != 2 || !is[0] || is[1] && !exists {
		return BidPage{}, position(c), fmt.Errorf("%w: raffle %d size %d", ErrIncomplete, q.RaffleID, q.Size)
	}
	members, more := cut(members, q.Limit)
	bids := make([]readmodel.Bid, len(members))
	for i, m := range members {
		if bids[i], err = readmodel.ParseMember(q.RaffleID, q.Size, []byte(m)); err != nil {
			return BidPage{}, position(c), err
		}
	}
	return BidPage{Bids: bids, More: more}, position(c), nil
}

func queueBids(ctx context.Context, pipe redis.Pipeliner, e readmodel.Epoch, q BidsQuery) rows {
	after := q.After
	if q.Order == Newest {
		var score int64
		if after != nil {
			score = after.At
		}
		return queuePage(ctx, pipe, e.Newest(q.RaffleID, q.Size), true, score, after, q.Limit+1)
	}
	var score int64
	if after != nil {
		score = -int64(after.Price)
	}
	return queuePage(ctx, pipe, e.Highest(q.RaffleID, q.Size), false, score, after, q.Limit+1)
}
