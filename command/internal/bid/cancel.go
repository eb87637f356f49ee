package bid

import (
	"context"
	"time"
)

// Writer is what carries bids out: Store.
type Writer interface {
	Place(ctx context.Context, bids []Bid) ([]Result, error)
	Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error)
}

// direct hands cancellations over one by one, a bounded number at once. What has begun goes on without
// its caller: giving up halfway would leave the outcome unknown and cost the database a connection.
type direct struct {
	to    Writer
	slots chan struct{}
	limit time.Duration
}

// Cancel cancels one bid. The error is ErrBusy, at once, or that of Store.Cancel.
func (d *direct) Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		return "", ErrBusy
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.limit)
	defer cancel()
	return d.to.Cancel(ctx, raffleID, id, userID)
}
