package bid

import (
	"context"
	"time"
)

// Writer is what Direct writes to: Store.
type Writer interface {
	Place(ctx context.Context, bids []Bid) ([]Result, error)
	Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error)
}

// Direct hands requests over one by one, a bounded number at once. What has begun goes on without its
// caller: giving up halfway would leave the outcome unknown and cost the database a connection.
type Direct struct {
	to    Writer
	slots chan struct{}
	limit time.Duration
}

// NewDirect makes a Direct that has at most atOnce requests under way, each for at most limit. Those
// beyond are refused with ErrBusy at once.
func NewDirect(to Writer, atOnce int, limit time.Duration) *Direct {
	return &Direct{to: to, slots: make(chan struct{}, atOnce), limit: limit}
}

// Place places one bid. The error is the result's own, ErrBusy, or that of Store.Place.
func (d *Direct) Place(ctx context.Context, b Bid) (Result, error) {
	ctx, done, err := d.enter(ctx)
	if err != nil {
		return Result{}, err
	}
	defer done()
	results, err := d.to.Place(ctx, []Bid{b})
	if err != nil {
		return Result{}, err
	}
	return results[0], results[0].Err
}

// Cancel cancels one bid. The error is ErrBusy or that of Store.Cancel.
func (d *Direct) Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error) {
	ctx, done, err := d.enter(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return d.to.Cancel(ctx, raffleID, id, userID)
}

func (d *Direct) enter(ctx context.Context) (context.Context, func(), error) {
	select {
	case d.slots <- struct{}{}:
	default:
		return nil, nil, ErrBusy
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.limit)
	return ctx, func() { cancel(); <-d.slots }, nil
}
