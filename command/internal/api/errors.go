package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// table says what a client is told about an error. The first entry that matches counts.
var table = []struct {
	err    error
	status int
	detail string
	retry  time.Duration
}{
	{err: auth.ErrToken, status: http.StatusUnauthorized, detail: "the token is not accepted; log in again"},
	{err: account.ErrCredentials, status: http.StatusUnauthorized, detail: "login or password is wrong"},
	{err: account.ErrTaken, status: http.StatusConflict, detail: "this login is taken"},
	{err: account.ErrBusy, status: http.StatusServiceUnavailable, detail: "too many logins and registrations at once", retry: time.Second},
	{err: bid.ErrUnknownUser, status: http.StatusUnauthorized, detail: "the token's user does not exist"},
	{err: raffle.ErrUnknownSeller, status: http.StatusUnauthorized, detail: "the token's user does not exist"},
	{err: raffle.ErrUnknown, status: http.StatusNotFound, detail: "there is no such raffle"},
	{err: raffle.ErrNotStarted, status: http.StatusConflict, detail: "the raffle has not started"},
	{err: raffle.ErrUnknownOutcome, status: http.StatusServiceUnavailable, retry: time.Second,
		detail: "it is not known whether the raffle was opened; look before you ask again"},
	{err: bid.ErrUnknownRaffle, status: http.StatusNotFound, detail: "there is no such raffle"},
	{err: bid.ErrUnknownBid, status: http.StatusNotFound, detail: "there is no such bid"},
	{err: bid.ErrNotYours, status: http.StatusForbidden, detail: "this is another user's bid"},
	{err: bid.ErrNotOpen, status: http.StatusConflict, detail: "the raffle is not open"},
	{err: bid.ErrKeyReused, status: http.StatusUnprocessableEntity, detail: "this Idempotency-Key was used for another bid"},
	{err: bid.ErrUnknownOutcome, status: http.StatusServiceUnavailable, retry: time.Second,
		detail: "it is not known whether this was done; ask again, a bid with its Idempotency-Key"},
	{err: bid.ErrLocked, status: http.StatusServiceUnavailable, detail: "the raffle is being changed; ask again", retry: time.Second},
	{err: bid.ErrUnavailable, status: http.StatusServiceUnavailable, detail: "this can't be done now; ask again", retry: time.Second},
	{err: bid.ErrBusy, status: http.StatusServiceUnavailable, detail: "too many bids at once", retry: time.Second},
}

// problem is the router's error table. nil: an error that it doesn't know.
func problem(err error) *web.Problem {
	var flaws bid.InvalidError
	if errors.As(err, &flaws) {
		return valuesProblem(flaws)
	}
	for _, row := range table {
		if errors.Is(err, row.err) {
			return web.NewProblem(row.status, row.detail).Retry(row.retry)
		}
	}
	return nil
}

func valuesProblem(flaws bid.InvalidError) *web.Problem {
	fields := make([]web.FieldError, 0, len(flaws))
	for _, f := range flaws {
		fields = append(fields, web.FieldError{Field: f.Field, Detail: f.Rule})
	}
	return invalid(fields...)
}
