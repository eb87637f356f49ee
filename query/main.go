// Command query answers the read API of Stock Pyramid from Redis, the standby or the primary.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/api"
)

//go:embed openapi.yaml
var document []byte

func main() {
	c, err := env.Parse(&config{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	redis.SetLogger(redisLog{log})
	if err := serve(context.Background(), c, log); err != nil {
		log.Error("query stopped", "error", err)
		os.Exit(1)
	}
}

// serve runs until a signal or the first failure and returns nil after a signal.
func serve(ctx context.Context, c *config, log *slog.Logger) error {
	web.TuneGC()
	servers, err := web.Listen(log, c.ListenAddr, c.AdminAddr)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	b, err := openBackends(c, log, reg)
	if err != nil {
		return err
	}
	var g run.Group
	g.Add(run.SignalHandler(ctx, os.Interrupt, syscall.SIGTERM))
	parts := api.Parts{Book: b.chain, Feed: b.feed, Verifier: b.verifier, Limits: limit.NewGuard(c.RateLimit, c.TrustedProxies, reg)}
	servers.AddTo(&g, api.New(log, reg, parts, c.AllowReadPath, document), web.Admin(reg, b.chain.Ready))
	watching, stop := context.WithCancel(ctx)
	defer stop()
	for _, watch := range []func(context.Context) error{b.primary.Run, b.trust.Watch, b.chain.Watch} {
		g.Add(func() error { return watch(watching) }, func(error) { stop() })
	}
	if b.keys != nil {
		g.Add(func() error { return b.keys.Run(watching) }, func(error) { stop() })
	}
	feeding, end := context.WithCancel(ctx)
	g.Add(func() error { return b.feed.Run(feeding) }, func(error) { end() })
	err = g.Run()
	if errors.Is(err, run.ErrSignal) {
		log.Info("stopping", "reason", err)
		err = nil
	}
	return errors.Join(err, b.close())
}
