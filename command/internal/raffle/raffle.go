// Package raffle opens and closes raffles. Store does it for an admin. Closer closes raffles when their time is over;
// of all instances, one Closer works at a time.
package raffle

import (
	"errors"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
)

// Raffle is an auction of one product. Times have a resolution of microseconds, prices are in KRW.
type Raffle struct {
	ID        int64
	ProductID int64
	SellerID  int64
	StartsAt  time.Time
	EndsAt    time.Time
	// ClosedAt is nil until the close, which is final.
	ClosedAt *time.Time
	// ClosingPrice is the highest price of the bids at the close, nil if there were none.
	ClosingPrice *int32
}

// New is a raffle to be opened.
type New struct {
	ProductID int64
	SellerID  int64
	StartsAt  *time.Time // nil: now
	EndsAt    time.Time
}

// Errors of opening or closing a raffle.
var (
	ErrUnknown        = errors.New("unknown raffle")
	ErrUnknownProduct = errors.New("unknown product")
	ErrUnknownSeller  = errors.New("unknown seller")
	ErrOver           = errors.New("raffle would be over at once")
	ErrNotStarted     = errors.New("raffle not started")
	// ErrUnavailable: trying again may help and is safe.
	ErrUnavailable = primary.ErrUnavailable
	// ErrUnknownOutcome: the raffle may have been opened, but the answer was lost.
	ErrUnknownOutcome = errors.New("outcome of opening a raffle unknown")
)
