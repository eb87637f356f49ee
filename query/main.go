// Command query answers the read API of Stock Pyramid from Redis, the standby or the primary.
package main

import (
	"context"
	_ "embed"
	"errors"
	"os"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/service"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/api"
)

//go:embed openapi.yaml
var document []byte

func main() {
	service.Main("query", &config{Common: env.Common{DrainDelay: env.FrontDoorDrain}}, serve)
}

// serve serves until ctx ends and the requests in flight are done.
func serve(ctx context.Context, c *config) error {
	web.TuneGC()
	s, err := service.New("query", c.Common, os.Stderr)
	if err != nil {
		return err
	}
	redis.SetLogger(service.Lines{Log: s.Log})
	b, err := openBackends(c, s.Log, s.Metrics)
	if err != nil {
		return err
	}
	parts := api.Parts{Book: b.chain, Feed: b.feed, Verifier: b.verifier, Limits: limit.NewGuard(c.RateLimit, c.TrustedProxies, s.Metrics), Origins: c.Origins, Requests: s.Requests}
	page := newPage(c, b, opspage.Options{Log: s.Log})
	s.Admin(page.Handler)
	s.Serve(api.New(s.Log, s.Metrics, parts, c.AllowReadPath, document), b.chain.Ready)
	s.OnDrain(b.feed.Drain)
	for _, part := range []func(context.Context) error{b.primary.Run, b.trust.Watch, b.chain.Watch, b.feed.Run, page.observe, page.Run} {
		s.Add(part)
	}
	if b.keys != nil {
		s.Add(b.keys.Run)
	}
	return errors.Join(s.Run(ctx), b.close())
}
