// Package api is the write API: its routes, and what each reads from a request and answers.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// loginLimit is how long a login may take, waiting included.
const loginLimit = 2 * time.Second

// Bids places and cancels bids, one at a time for its caller.
type Bids interface {
	// Place returns the bid that was placed, or one of package bid's errors.
	Place(ctx context.Context, b bid.Bid) (bid.Result, error)
	// Cancel returns the position after the commit, or one of package bid's errors.
	Cancel(ctx context.Context, raffleID, id, userID int64) (lsn string, err error)
}

// API is what the routes work with.
type API struct {
	Bids     Bids
	Logins   *account.Logins
	Keys     *auth.Folder
	Verifier *auth.Verifier
	OpenAPI  []byte // the document that describes the routes
}

type route struct {
	method, path string
	handle       web.Handler
}

func (a *API) routes() []route {
	return []route{
		{"POST", "/v1/login", a.login},
		{"POST", "/v1/raffles/{raffle_id}/bids", a.asUser(a.placeBid)},
		{"DELETE", "/v1/raffles/{raffle_id}/bids/{id}", a.asUser(a.cancelBid)},
		{"GET", "/.well-known/jwks.json", a.jwks},
		{"GET", "/openapi/command.yaml", a.openAPI},
	}
}

// Handler returns the routes as a handler that logs and counts.
func (a *API) Handler(log *slog.Logger, reg prometheus.Registerer) http.Handler {
	router := web.NewRouter(log, reg, problem)
	for _, r := range a.routes() {
		router.Handle(r.method, r.path, r.handle)
	}
	return router
}

func (a *API) openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml") // RFC 9512
	_, err := w.Write(a.OpenAPI)
	return err
}
