package api

import (
	"context"
	"errors"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/live"
)

// Errors of requests.
var (
	errNoRaffle  = errors.New("no raffle has this id")
	errBadCursor = errors.New("cursor not usable")
)

// problems is the one table of errors and answers, in the order in which they are tried.
var problems = []struct {
	err     error
	problem *web.Problem
}{
	{errNoRaffle, web.UnknownRaffle.Problem("there is no such raffle")},
	{bidbook.ErrNoBid, web.UnknownBid.Problem("there is no such bid")},
	{bidbook.ErrNoProduct, web.UnknownProduct.Problem("there is no such product")},
	{bidbook.ErrNotFound, web.UnknownRaffle.Problem("there is no such raffle")},
	{errBadCursor, web.BadRequest.Problem("the cursor does not belong to this request",
		web.FieldError{Field: "cursor", Detail: "take it from next_cursor of the same list, and keep the other parameters"})},
	{bidbook.ErrCursorLost, web.PositionLost.Problem("the database has lost the position of the cursor's first page",
		web.FieldError{Field: "cursor", Detail: "start again without it"})},
	{bidbook.ErrLost, web.PositionLost.Problem("the database has lost the wanted position: what was committed there may be lost too",
		web.FieldError{Field: "Min-LSN", Detail: "is no position of the present history: read again without it"})},
	{bidbook.ErrUnknownTimeline, web.Unavailable.Problem("the timeline of the wanted position is not known yet").Retry(time.Second)},
	{bidbook.ErrBeyond, web.BadValue.Problem("the wanted position is in the future",
		web.FieldError{Field: "Min-LSN", Detail: "is beyond the primary's position"})},
	{bidbook.ErrBusy, web.Busy.Problem("too many reads at once").Retry(time.Second)},
	{bidbook.ErrUnavailable, web.Unavailable.Problem("no database that could answer is reachable").Retry(time.Second)},
	{live.ErrFull, web.Busy.Problem("there are as many live feeds as there may be").Retry(5 * time.Second)},
	{auth.ErrToken, web.BadToken.Problem("the token is not accepted; log in again")},
	{auth.ErrNoKeys, web.Unavailable.Problem("tokens can't be checked now").Retry(time.Second)},
	{context.Canceled, web.Unavailable.Problem("the request was given up").Retry(time.Second)},
	{context.DeadlineExceeded, web.Unavailable.Problem("the answer took too long").Retry(time.Second)},
}

func problem(err error) *web.Problem {
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return p.problem
		}
	}
	return nil
}
