// Command command is the write side of Stock Pyramid: it takes registrations, logins, products, raffles, bids
// and cancellations, commits them to the primary, closes raffles when their time is over, and writes the
// heartbeat of the primary.
package main

import (
	"context"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/command/internal/api"
	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/command/internal/product"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat/writer"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/service"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

const loginsWaiting = 32 // 32 checks of 26 ms take about 1.7 s on a quarter of two cores

func main() {
	service.Main("command", &Config{Common: env.Common{DrainDelay: env.FrontDoorDrain}}, serve)
}

// serve serves until ctx ends and the requests in flight are done.
func serve(ctx context.Context, config *Config) error {
	web.TuneGC()
	s, err := service.New("command", config.Common, os.Stderr)
	if err != nil {
		return err
	}
	keys, err := auth.OpenFolder(config.JWTKeysDir, s.Log)
	if err != nil {
		return err
	}
	server, err := primary.Open(config.PrimaryURL, s.Metrics)
	if err != nil {
		return err
	}
	defer server.Close()
	store := bid.NewStore(server, config.BidLanes+1, s.Metrics) // one for each lane, and one for a bid that needs no lane
	bids := bid.NewBatcher(store, config.limits(), time.Now, s.Log, s.Metrics)
	defer bids.Close() // after the listeners have stopped, so no bid can be queued
	raffles := raffle.NewStore(server, s.Metrics)
	heartbeat, err := writer.New(config.PrimaryURL, server.Timelines(), s.Log, s.Metrics)
	if err != nil {
		return err
	}
	a := routes(config, keys, server, s.Metrics)
	a.Requests = s.Requests
	a.Bids, a.Cancels, a.Raffles, a.Products = bids, bid.NewCancels(store), raffles, product.NewStore(server)
	s.Serve(a.Handler(s.Log, s.Metrics), primary.Writable(server))
	s.Add(keys.Run)
	closer := raffle.NewCloser(server, raffles, s.Log, s.Metrics)
	closer.Spans = s.Requests.Spans
	s.Add(closer.Run)
	s.Add(heartbeat.Run)
	return s.Run(ctx)
}

// routes is the API without bids, raffles and products.
func routes(config *Config, keys *auth.Folder, server *primary.Server, reg prometheus.Registerer) *api.API {
	signer := auth.NewSigner(keys, config.TokenTTL, config.Clock().Now)
	return &api.API{
		Limits:   limit.NewGuard(config.RateLimit, config.TrustedProxies, reg),
		Logins:   account.NewLogins(server, signer, config.RefreshTTL, config.loginCores(), loginsWaiting, reg),
		Keys:     keys,
		Verifier: auth.NewVerifier(keys, config.Clock().Now),
		OpenAPI:  document,
	}
}
