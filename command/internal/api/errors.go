package api

import (
	"errors"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/idempotency"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/command/internal/product"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// table says what a client is told about an error. The first entry that matches counts. Unknown outcomes have no
// retry here, because without an idempotency key the same request may be carried out twice.
var table = []struct {
	err    error
	kind   web.Kind
	detail string
	retry  time.Duration
}{
	{err: auth.ErrToken, kind: web.BadToken, detail: "the token is not accepted; log in again"},
	{err: account.ErrCredentials, kind: web.WrongCredentials, detail: "login or password is wrong"},
	{err: account.ErrPassword, kind: web.WrongPassword, detail: "the old password is wrong"},
	{err: account.ErrRefreshToken, kind: web.BadRefreshToken, detail: "the refresh token is not accepted; log in again"},
	{err: account.ErrReused, kind: web.RefreshTokenReused, detail: "the refresh token was used before, so its whole family is ended; log in again"},
	{err: account.ErrUnknownUser, kind: web.BadToken, detail: "the token's user does not exist"},
	{err: account.ErrTaken, kind: web.LoginTaken, detail: "this login is taken"},
	{err: account.ErrBusy, kind: web.Busy, detail: "too many requests of accounts at once", retry: time.Second},
	{err: bid.ErrUnknownUser, kind: web.BadToken, detail: "the token's user does not exist"},
	{err: raffle.ErrUnknownSeller, kind: web.BadToken, detail: "the token's user does not exist"},
	{err: raffle.ErrUnknown, kind: web.UnknownRaffle, detail: "there is no such raffle"},
	{err: product.ErrUnknown, kind: web.UnknownProduct, detail: "there is no such product"},
	{err: raffle.ErrClosed, kind: web.RaffleNotOpen, detail: "the raffle is over"},
	{err: raffle.ErrStarted, kind: web.RaffleStarted, detail: "the raffle has started"},
	{err: raffle.ErrNotStarted, kind: web.RaffleNotOpen, detail: "the raffle has not started"},
	{err: bid.ErrUnknownRaffle, kind: web.UnknownRaffle, detail: "there is no such raffle"},
	{err: bid.ErrUnknownBid, kind: web.UnknownBid, detail: "there is no such bid"},
	{err: bid.ErrNotYours, kind: web.NotYours, detail: "this is another user's bid"},
	{err: bid.ErrNotOpen, kind: web.RaffleNotOpen, detail: "the raffle is not open"},
	{err: bid.ErrTooManySizes, kind: web.TooManySizes, detail: "the raffle has bids of as many sizes as it may have; bid on one of those"},
	{err: bid.ErrKeyReused, kind: web.KeyReused, detail: "this Idempotency-Key was used for another bid"},
	{err: idempotency.ErrReused, kind: web.KeyReused, detail: "this Idempotency-Key was used for another request"},
	{err: raffle.ErrUnknownOutcome, kind: web.OutcomeUnknown, detail: "it is not known whether the raffle was opened; look before you ask again"},
	{err: primary.ErrUnknownOutcome, kind: web.OutcomeUnknown,
		detail: "it is not known whether this was done; look before you ask again"},
	{err: bid.ErrLocked, kind: web.RaffleLocked, detail: "the raffle is being changed; ask again", retry: time.Second},
	{err: bid.ErrBusy, kind: web.Busy, detail: "too many bids at once", retry: time.Second},
	{err: primary.ErrUnavailable, kind: web.Unavailable, detail: "this can't be done now; ask again", retry: time.Second},
}

// problem is the router's error table. It returns nil for an error that it doesn't know.
func problem(err error) *web.Problem {
	var flaws bid.InvalidError
	if errors.As(err, &flaws) {
		return valuesProblem(flaws)
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return row.kind.Problem(row.detail).Retry(row.retry)
		}
	}
	return nil
}

// keyed returns the error of a request that may have an idempotency key. With one it is never carried out twice, so an
// unknown outcome asks the client to send it again.
func keyed(err error, key string) error {
	if key == "" {
		return err
	}
	return repeatable(err, "it is not known whether this was done; ask again with the same Idempotency-Key")
}

// repeatable returns the error of a request that may safely be sent again. An unknown outcome asks the client to do
// so.
func repeatable(err error, detail string) error {
	if !errors.Is(err, primary.ErrUnknownOutcome) {
		return err
	}
	return &repeatableError{web.OutcomeUnknown.Problem(detail).Retry(time.Second), err}
}

// repeatableError keeps the cause for the log.
type repeatableError struct {
	*web.Problem
	cause error
}

func (e *repeatableError) Error() string   { return e.cause.Error() }
func (e *repeatableError) Unwrap() []error { return []error{e.Problem, e.cause} }

func valuesProblem(flaws bid.InvalidError) *web.Problem {
	fields := make([]web.FieldError, 0, len(flaws))
	for _, f := range flaws {
		fields = append(fields, web.FieldError{Field: f.Field, Detail: f.Rule})
	}
	return invalid(fields...)
}
