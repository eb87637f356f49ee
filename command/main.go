// Command command is the write side of Stock Pyramid: it takes registrations, logins, raffles, bids
// and cancellations, commits them to the primary, closes raffles when their time is over, and writes the
// heartbeat of the primary.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/command/internal/api"
	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat/writer"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

const loginsWaiting = 32 // about 1.7 s on two cores, of which logins take a quarter

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := env.Parse(&Config{})
	if err == nil {
		err = serve(ctx, config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "command:", err)
		os.Exit(1)
	}
}

// serve serves until ctx ends, and then until what is in flight is done.
func serve(ctx context.Context, config *Config) (err error) {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: config.LogLevel}))
	slog.SetDefault(log)
	keys, err := auth.OpenFolder(config.JWTKeysDir, log)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	server, err := primary.Open(config.PrimaryURL, reg)
	if err != nil {
		return err
	}
	defer server.Close()
	web.TuneGC()
	servers, err := web.Listen(log, config.ListenAddr, config.AdminAddr)
	if err != nil {
		return err
	}
	store := bid.NewStore(server, config.BidLanes+1, reg) // the lanes, and the bid that waits for none
	bids := bid.NewBatcher(store, config.limits(), time.Now, log, reg)
	defer bids.Close() // after the listeners: nothing is queued any more
	raffles := raffle.NewStore(server, reg)
	heartbeat, err := writer.New(config.PrimaryURL, log, reg)
	if err != nil {
		return err
	}
	closer := raffle.NewCloser(config.PrimaryURL, raffles, log, reg)
	var group run.Group
	group.Add(run.ContextHandler(ctx))
	a := routes(config, keys, server, reg)
	a.Bids, a.Cancels, a.Raffles = bids, bid.NewCancels(store), raffles
	servers.AddTo(&group, a.Handler(log, reg), web.Admin(reg, primary.Writable(server)))
	background, stop := context.WithCancel(context.Background())
	group.Add(func() error { return keys.Run(background) }, func(error) { stop() })
	group.Add(func() error { return closer.Run(background) }, func(error) { stop() })
	group.Add(func() error { return heartbeat.Run(background) }, func(error) { stop() })
	if err = group.Run(); errors.Is(err, context.Canceled) {
		log.Info("stopped")
		return nil
	}
	return err
}

// routes is the API without bids and raffles.
func routes(config *Config, keys *auth.Folder, server *primary.Server, reg prometheus.Registerer) *api.API {
	signer := auth.NewSigner(keys, config.TokenTTL, time.Now)
	return &api.API{
		Limits:   limit.NewGuard(config.RateLimit, config.TrustedProxies, reg),
		Logins:   account.NewLogins(server, signer, config.loginCores(), loginsWaiting, reg),
		Keys:     keys,
		Verifier: auth.NewVerifier(keys, time.Now),
		OpenAPI:  document,
	}
}
