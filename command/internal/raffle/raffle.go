// Package raffle opens, changes and closes raffles. Store does it for an admin. Closer closes raffles when their time is over;
// of all instances, one Closer works at a time.
package raffle

import (
	"errors"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
)

// Raffle is an auction of one product. Times have a resolution of microseconds, prices are in KRW.
type Raffle struct {
	ID        int64     `json:"id"`
	ProductID int64     `json:"product_id"`
	SellerID  int64     `json:"seller_id"`
	StartsAt  time.Time `json:"starts_at"`
	EndsAt    time.Time `json:"ends_at"`
	// ClosedAt is nil until the close, which is final.
	ClosedAt *time.Time `json:"-"`
	// ClosingPrice is the highest price of the bids at the close, nil if there were none.
	ClosingPrice *int32 `json:"-"`
}

// New is a raffle to be opened. Its JSON tells whether two requests are the same.
type New struct {
	ProductID int64      `json:"product_id"`
	SellerID  int64      `json:"seller_id"`
	StartsAt  *time.Time `json:"starts_at"` // nil: now
	EndsAt    time.Time  `json:"ends_at"`
	// Key is the idempotency key, scoped to the seller. Empty: none.
	Key string `json:"-"`
}

// Opened is a raffle that was opened, as it was then.
type Opened struct {
	Raffle Raffle
	// Replayed: an earlier request with the same key and the same values opened it.
	Replayed bool
	// LSN is a position at or past the commit.
	LSN string
}

// Change is what is to change of a raffle. A nil field stays.
type Change struct {
	StartsAt *time.Time
	EndsAt   *time.Time
}

// Errors of opening, changing or closing a raffle.
var (
	ErrUnknown        = errors.New("unknown raffle")
	ErrUnknownProduct = errors.New("unknown product")
	ErrUnknownSeller  = errors.New("unknown seller")
	ErrOver           = errors.New("raffle would be over at once")
	ErrNotStarted     = errors.New("raffle not started")
	// ErrClosed: the raffle is closed, or its end has passed.
	ErrClosed = errors.New("raffle closed")
	// ErrStarted: the start of a raffle that has started never changes.
	ErrStarted = errors.New("raffle started")
	// ErrEndsFirst: the raffle would end before it starts.
	ErrEndsFirst = errors.New("raffle would end before it starts")
	// ErrNotOver: the end was moved, so it is too early for a close by time.
	ErrNotOver = errors.New("raffle not over")
	// ErrUnavailable: trying again may help and is safe.
	ErrUnavailable = primary.ErrUnavailable
	// ErrUnknownOutcome: the raffle may have been opened, but the answer was lost.
	ErrUnknownOutcome = errors.New("outcome of opening a raffle unknown")
)
