// Package api is the HTTP side of query: routes, parameters, cursors and the encoding of answers.
package api

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/cors"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/openapi"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/live"
)

// API answers the read API.
type API struct {
	book          *bidbook.Chain
	feed          *live.Hub
	allowReadPath bool
	document      []byte
	verifier      *auth.Verifier
	limits        *limit.Guard
	listings      listings
}

// Parts are what answers are made of.
type Parts struct {
	Book     *bidbook.Chain
	Feed     *live.Hub
	Verifier *auth.Verifier
	Limits   *limit.Guard
	// Origins are those whose pages may open sessions of socket.io besides our own.
	Origins cors.Origins
	// Requests says which requests are logged and traced.
	Requests web.Requests
}

// New makes the public handler. document is the OpenAPI description; allowReadPath honours the request
// header Read-Path; without a verifier no token can be checked.
func New(log *slog.Logger, reg prometheus.Registerer, p Parts, allowReadPath bool, document []byte) http.Handler {
	a := &API{book: p.Book, feed: p.Feed, verifier: p.Verifier, limits: p.Limits, allowReadPath: allowReadPath, document: document}
	sockets := live.NewSocketIO(p.Feed, a.joinable, p.Origins)
	rt := web.NewRouter(log, reg, problem)
	rt.Observe(p.Requests)
	for _, r := range a.routes() {
		rt.Handle(http.MethodGet, r.path, a.limited(r.weight, r.handler))
	}
	rt.HandlePrefix("/socket.io/", sockets.Serve)
	return rt
}

// route is a path with its handler and the weight of its requests; see limits.go.
type route struct {
	path    string
	handler web.Handler
	weight  int
}

// routes are all GET, which answers HEAD as well.
func (a *API) routes() []route {
	return []route{
		{"/hello", a.hello, 0}, // the router tries them in this order
		{"/v1/raffles", a.raffles, listWeight},
		{"/v1/raffles/{raffle_id}/bids", a.raffleBids, listWeight},
		{"/v1/raffles/{raffle_id}", a.raffle, 2},
		{"/v1/raffles/{raffle_id}/bids/{bid_id}", a.bid, lookupWeight},
		{"/v1/raffles/{raffle_id}/best", a.best, 2},
		{"/v1/raffles/{raffle_id}/live", a.live, 0},
		{"/v1/bids", a.sizeBids, listWeight},
		{"/v1/me/bids", a.myBids, lookupWeight},
		{"/v1/products", a.products, listWeight},
		{"/v1/products/{product_id}", a.product, 1},
		{"/openapi/query.yaml", web.File(web.YAML, a.document), 0},
		{"/openapi.yaml", web.File(web.YAML, openapi.YAML), 1},
		{"/openapi.json", web.File("application/json", openapi.JSON), 1},
		{"/docs", servePage(openapi.Reference), 1},
		{"/docs/problems", servePage(openapi.Problems), 1},
		{"/problems/{problem}", aboutProblem, 0},
	}
}

func (a *API) hello(w http.ResponseWriter, _ *http.Request) error {
	w.Header()["Content-Type"] = textType
	_, err := w.Write(helloWorld)
	return err
}

var (
	textType   = []string{"text/plain"}
	helloWorld = []byte("Hello World")
)
