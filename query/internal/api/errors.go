package api

import (
	"context"
	"errors"
	"net/http"
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
	{errNoRaffle, web.NewProblem(http.StatusNotFound, "there is no such raffle")},
	{bidbook.ErrNoBid, web.NewProblem(http.StatusNotFound, "there is no such bid")},
	{bidbook.ErrNotFound, web.NewProblem(http.StatusNotFound, "there is no such raffle")},
	{errBadCursor, web.NewProblem(http.StatusBadRequest, "the cursor does not belong to this request",
		web.FieldError{Field: "cursor", Detail: "take it from next_cursor of the same list, and keep the other parameters"})},
	{bidbook.ErrCursorLost, positionLost("the database has lost the position of the cursor's first page",
		web.FieldError{Field: "cursor", Detail: "start again without it"})},
	{bidbook.ErrLost, positionLost("the database has lost the wanted position: what was committed there may be lost too",
		web.FieldError{Field: "Min-LSN", Detail: "is no position of the present history: read again without it"})},
	{bidbook.ErrUnknownTimeline, web.NewProblem(http.StatusServiceUnavailable, "the timeline of the wanted position is not known yet").Retry(time.Second)},
	{bidbook.ErrBeyond, web.NewProblem(http.StatusUnprocessableEntity, "the wanted position is in the future",
		web.FieldError{Field: "Min-LSN", Detail: "is beyond the primary's position"})},
	{bidbook.ErrBusy, web.Busy.Problem("too many reads at once").Retry(time.Second)},
	{bidbook.ErrUnavailable, web.NewProblem(http.StatusServiceUnavailable, "no database that could answer is reachable").Retry(time.Second)},
	{live.ErrFull, web.NewProblem(http.StatusServiceUnavailable, "there are as many live feeds as there may be").Retry(5 * time.Second)},
	{auth.ErrToken, web.NewProblem(http.StatusUnauthorized, "the token is not valid, or not any more")},
	{auth.ErrNoKeys, web.NewProblem(http.StatusServiceUnavailable, "tokens can't be checked now").Retry(time.Second)},
	{context.Canceled, web.NewProblem(http.StatusServiceUnavailable, "the request was given up").Retry(time.Second)},
	{context.DeadlineExceeded, web.NewProblem(http.StatusServiceUnavailable, "the answer took too long").Retry(time.Second)},
}

// positionLost is the problem of a position that the database left behind at a promotion or a restore.
func positionLost(detail string, fields ...web.FieldError) *web.Problem {
	return web.NewProblem(http.StatusConflict, detail, fields...).Of("/problems/position-lost", "Position lost")
}

func problem(err error) *web.Problem {
	for _, p := range problems {
		if errors.Is(err, p.err) {
			return p.problem
		}
	}
	return nil
}
