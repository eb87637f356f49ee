// Package api is the write API: its routes, how each reads its request, and what each answers.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/command/internal/product"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// loginLimit is how long a login or a registration may take, waiting included.
const loginLimit = primary.RequestTime

// Bids places bids, one at a time for its caller.
type Bids interface {
	// Place returns the bid that was placed, or one of package bid's errors.
	Place(ctx context.Context, b bid.Bid) (bid.Result, error)
	// Full says whether Place would return bid.ErrBusy now.
	Full(raffleID int64) bool
}

// Cancels cancels bids.
type Cancels interface {
	// Cancel returns a position at or past the commit's end, or one of package bid's errors.
	Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error)
}

// API holds what the routes need.
type API struct {
	Bids     Bids
	Cancels  Cancels
	Raffles  *raffle.Store
	Products *product.Store
	Logins   *account.Logins
	Limits   *limit.Guard
	Keys     *auth.Folder
	Verifier *auth.Verifier
	OpenAPI  []byte // the document that describes the routes
	Requests web.Requests
}

type route struct {
	method, path string
	handle       web.Handler
}

// routes are tried in this order, so the one of bids, which most requests take, comes first.
func (a *API) routes() []route {
	return []route{
		{"POST", "/v1/raffles/{raffle_id}/bids", a.unlessFull(a.asUser(a.placeBid))},
		{"POST", "/v1/users", a.register},
		{"POST", "/v1/login", a.login},
		{"POST", "/v1/token", a.refresh},
		{"POST", "/v1/logout", a.logout},
		{"GET", "/v1/me", a.asUser(a.me)},
		{"PUT", "/v1/me/password", a.asUser(a.changePassword)},
		{"POST", "/v1/raffles", a.asAdmin(a.openRaffle)},
		{"PATCH", "/v1/raffles/{raffle_id}", a.asAdmin(a.changeRaffle)},
		{"POST", "/v1/raffles/{raffle_id}/close", a.asAdmin(a.closeRaffle)},
		{"POST", "/v1/products", a.asAdmin(a.addProduct)},
		{"PATCH", "/v1/products/{product_id}", a.asAdmin(a.changeProduct)},
		{"DELETE", "/v1/raffles/{raffle_id}/bids/{bid_id}", a.asUser(a.cancelBid)},
		{"GET", "/.well-known/jwks.json", a.jwks},
		{"GET", "/openapi/command.yaml", web.File(web.YAML, a.OpenAPI)},
	}
}

// Handler returns the routes as a handler that logs and counts.
func (a *API) Handler(log *slog.Logger, reg prometheus.Registerer) http.Handler {
	router := web.NewRouter(log, reg, problem)
	router.Observe(a.Requests)
	for _, r := range a.routes() {
		router.Handle(r.method, r.path, a.limited(r.handle))
	}
	return router
}

// limited refuses a request over the rate of its client's address before any other work. asUser applies the rate of
// the user.
func (a *API) limited(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if wait := a.Limits.Address(w, r, time.Now()); wait > 0 {
			return tooMany(wait)
		}
		return h(w, r)
	}
}

// unlessFull sheds a bid before its token and its body cost anything (W4).
func (a *API) unlessFull(h web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		raffleID, err := pathID(r, "raffle_id")
		if err != nil {
			return err
		}
		if a.Bids.Full(raffleID) {
			return bid.ErrBusy
		}
		return h(w, r)
	}
}

func tooMany(wait time.Duration) *web.Problem {
	return web.TooManyRequests.Problem("too many requests; slow down").Retry(wait)
}
