package bidbook

import (
	"context"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// BestBids is a raffle and the best bid of each size that has bids, ascending by size. The best bid has the highest
// price, and is the earliest among equals. Once the raffle is closed, these bids have won.
type BestBids struct {
	Raffle readmodel.Raffle
	Bids   []readmodel.Bid
}

// Merger is what a path knows of all sizes of a raffle.
type Merger interface {
	// AllSizes lists bids of all sizes of a raffle, newest first, or returns ErrNotFound for an unknown raffle. It
	// ignores the size and the order of the query.
	AllSizes(ctx context.Context, q BidsQuery, minLSN lsn.Position) (BidPage, Position, error)
	// Best returns the best bids of a raffle, or ErrNotFound.
	Best(ctx context.Context, id int64, minLSN lsn.Position) (BestBids, Position, error)
}

// AllSizes is as Bids.
func (c *Chain) AllSizes(ctx context.Context, q BidsQuery, w Want) (BidPage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (BidPage, Position, error) {
		return r.AllSizes(ctx, q, minLSN)
	})
}

// Best is as Bids.
func (c *Chain) Best(ctx context.Context, id int64, w Want) (BestBids, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (BestBids, Position, error) {
		return r.Best(ctx, id, minLSN)
	})
}

// Standing is how a bid compares with the others of its raffle and size.
type Standing byte

// The best bid leads, and has won once the raffle is closed; see BestBids.
const (
	Leading Standing = iota
	Outbid
	Won
	Lost
)

// StandingOf is the standing of a bid that is the best, or is not, in a raffle that is closed, or is not.
func StandingOf(best, closed bool) Standing {
	switch {
	case best && closed:
		return Won
	case best:
		return Leading
	case closed:
		return Lost
	}
	return Outbid
}

// String is the standing as the API spells it.
func (s Standing) String() string { return [...]string{"leading", "outbid", "won", "lost"}[s] }

// StandingBid is a bid with its standing.
type StandingBid struct {
	readmodel.Bid
	Standing Standing
}

// UserPage is a page of a user's bids; More says that there is a further one.
type UserPage struct {
	Bids []StandingBid
	More bool
}
