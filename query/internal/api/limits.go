package api

import (
	"errors"
	"net/http"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// Reads of an address are limited by weight. A list weighs 1 for up to 50 bids or 250 raffles, and 1 more for each 50
// or 250 further rows. A search weighs 1 for each 100 rows, 4 more with a filter, and 1 more for each 10 rows with the
// highest price. Bids of all sizes weigh 5, and 1 more for each 25. A raffle's details and its best bids weigh 2. A
// lookup that only SQL can answer weighs 5, and so does the opening of a feed. A Min-LSN that was not reached costs 10
// more, because every path was asked for it. Details that were refused because their bids would have to be counted cost
// 20 more, because they waited for that.
const (
	listWeight   = 1
	lookupWeight = 5

	bidRows    = 50
	raffleRows = 250 // a row costs less than a bid, because it is encoded already
	feedWeight = 5
	unreached  = 10
	uncounted  = 20

	foundRows   = 100
	filtering   = 4
	highestRows = 10
	merging     = 4
	mergedRows  = 25 // each size may have to give as many
)

// limited charges each request before anything is done for it. A request of weight 0 is never limited.
func (a *API) limited(weight int, h web.Handler) web.Handler {
	if weight == 0 {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := a.spend(w, r, weight, 0); err != nil {
			return err
		}
		err := h(w, r)
		switch {
		case errors.Is(err, bidbook.ErrBehind), errors.Is(err, bidbook.ErrBeyond):
			a.limits.ReadMore(w, r, unreached, time.Now())
		case errors.Is(err, bidbook.ErrCounting):
			a.limits.ReadMore(w, r, uncounted, time.Now())
		}
		return err
	}
}

// spend charges a read for a weight beside what it was charged before.
func (a *API) spend(w http.ResponseWriter, r *http.Request, weight, before int) error {
	if wait := a.limits.Read(w, r, weight, before, time.Now()); wait > 0 {
		return web.TooManyRequests.Problem("too many requests; slow down, or ask for less at once").Retry(wait)
	}
	return nil
}

// spendSearch charges a search of raffles or products. A filter is looked for in all products, and the highest price of
// a raffle is one lookup for each of its sizes.
func (a *API) spendSearch(w http.ResponseWriter, r *http.Request, q bidbook.SearchQuery) error {
	weight := (q.Limit - 1) / foundRows
	if q.Filter != (bidbook.Filter{}) {
		weight += filtering
	}
	if q.Highest {
		weight += q.Limit / highestRows
	}
	return a.spend(w, r, weight, listWeight)
}

// spendRows charges a list for its rows. The route's weight covers as many of them as rows says.
func (a *API) spendRows(w http.ResponseWriter, r *http.Request, route, limit, rows int) error {
	return a.spend(w, r, (limit-1)/rows, route)
}
