// Command replicator keeps the read model in Redis equal to the primary: it follows the logical
// replication stream and writes it to Redis together with its position.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/project"
)

const usage = `usage: replicator [run]

Copies bids, raffles and products from the primary's logical replication stream to Redis and builds
the read model anew when that is needed. It is configured by the environment:

  LISTEN_ADDR   host:port of GET /v1/status
  ADMIN_ADDR    host:port of /livez, /readyz, /metrics and /debug/pprof
  PRIMARY_URL   the primary as role replicator; several hosts with target_session_attrs=read-write
  REDIS_URL     redis://host:port/database
  LOG_LEVEL     debug, info (default), warn or error

Of several replicators of one database one works and the others wait. A change that does not fit the
read model stops it, and the status says why; once that is put right, DEL pyramid:checkpoint in Redis
makes it build the model anew.`

func main() { os.Exit(start(append(os.Args[1:], "run")[0])) }

// start returns the exit status.
func start(verb string) int {
	switch verb {
	case "run":
	case "help", "-h", "--help":
		fmt.Println(usage)
		return 0
	default:
		fmt.Fprintf(os.Stderr, "replicator: unknown verb %q\n%s\n", verb, usage)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := env.Parse(&config{})
	if err == nil {
		err = replicate(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "replicator:", err)
		return 1
	}
	return 0
}

// replicate runs until the context ends.
func replicate(ctx context.Context, cfg *config) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: cfg.LogLevel})).With("service", "replicator")
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options, err := redis.ParseURL(cfg.RedisURL)
	if err != nil {
		return fmt.Errorf("REDIS_URL: %w", err)
	}
	r := project.New(cfg.PrimaryURL, options, log, reg)
	servers, err := web.Listen(log, cfg.ListenAddr, cfg.AdminAddr)
	if err != nil {
		return err
	}
	var g run.Group
	servers.AddTo(&g, ops.Handler(log, reg, func(now time.Time) project.Status { return r.Status(now) }), web.Admin(reg, r.Ready))
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error { return r.Run(ctx) }, func(error) { cancel() })
	return g.Run()
}
