package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// Reads of an address are limited by weight. A lookup of up to 50 bids weighs 1, and each 50 further rows as much; a
// raffle's details weigh 2, what only SQL can answer and the opening of a feed 5. A Min-LSN that was not reached costs 10
// more, because every path was asked for it; details that are refused because their bids would have to be counted cost 20
// more, since they waited for that.
const (
	bidRows    = 50
	raffleRows = 250 // are encoded already
	feedWeight = 5
	unreached  = 10
	uncounted  = 20
)

// limited charges each request before anything is done for it. Weight 0 is no limit.
func (a *API) limited(weight int, h web.Handler) web.Handler {
	if weight == 0 {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := a.spend(r, weight); err != nil {
			return err
		}
		err := h(w, r)
		switch {
		case errors.Is(err, bidbook.ErrBehind), errors.Is(err, bidbook.ErrBeyond):
			a.limits.ReadMore(r, unreached, time.Now())
		case errors.Is(err, bidbook.ErrCounting):
			a.limits.ReadMore(r, uncounted, time.Now())
		}
		return err
	}
}

func (a *API) spend(r *http.Request, weight int) error {
	if wait := a.limits.Read(r, weight, time.Now()); wait > 0 {
		return web.TooManyRequests.Problem("too many requests; slow down, or ask for less at once").Retry(wait)
	}
	return nil
}

// spendRows charges a list for its rows. The first page of so many rows is part of each request's weight.
func (a *API) spendRows(r *http.Request, limit, rows int) error { return a.spend(r, (limit-1)/rows) }
