package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/oklog/run"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat/writer"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/project"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const runHelp = `usage: replicator [run]

Copies bids, raffles and products from the primary's logical replication stream to Redis, builds the
read model anew when that is needed, and compares it with the primary in the background. It runs until
SIGTERM and is configured by the environment:

  LISTEN_ADDR      host:port of GET /v1/status and POST /v1/rebuild: loopback, they ask for no password
  ADMIN_ADDR       host:port of /livez, /readyz, /metrics and /debug/pprof
  PRIMARY_URL      all servers as role replicator: the one that takes writes on the highest timeline is the primary
  REDIS_URL        redis://host:port/database
  VERIFY_INTERVAL  how often some 200 raffles are compared in the background, default 30s; 0 turns it off
  LOG_LEVEL        debug, info (default), warn or error

Of several replicators of one database one works and the others wait. A change that does not fit the
read model stops it, and "replicator status" says why; once that is put right, "replicator rebuild"
copies everything anew.
`

func runReplicator(ctx context.Context, args []string, out, notes io.Writer) (int, error) {
	if err := parse(newFlags("run", runHelp), args, out, notes); err != nil {
		return 2, err
	}
	cfg, err := env.Parse(&config{})
	if err != nil {
		return 1, err
	}
	return 0, replicate(ctx, cfg, notes)
}

// replicate runs until the context ends.
func replicate(ctx context.Context, cfg *config, notes io.Writer) error {
	log := slog.New(slog.NewJSONHandler(notes, &slog.HandlerOptions{Level: cfg.LogLevel})).With("service", "replicator")
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options, err := cfg.options()
	if err != nil {
		return err
	}
	primaries, err := wal.Servers(cfg.PrimaryURL)
	if err != nil {
		return err
	}
	r := project.New(primaries, options, log, reg)
	servers, err := web.Listen(log, cfg.ListenAddr, cfg.AdminAddr)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var g run.Group
	background, err := verifyInBackground(ctx, &g, cfg, r, log, reg)
	if err != nil {
		return err
	}
	if err := writeHeartbeats(ctx, &g, cfg, log, reg); err != nil {
		return err
	}
	operator := ops.Replicator{Rebuild: r.RequestRebuild, Status: func(now time.Time) ops.Status {
		s := ops.Status{Status: r.Status(now)}
		if background != nil {
			state := background.State()
			s.Verify = &state
		}
		return s
	}}
	servers.AddTo(&g, ops.Handler(log, reg, operator), web.Admin(reg, r.Ready))
	g.Add(func() error { return r.Run(ctx) }, func(error) { cancel() })
	return g.Run()
}

// writeHeartbeats adds what writes the heartbeat: also while Redis is away, and while another replicator works.
func writeHeartbeats(ctx context.Context, g *run.Group, cfg *config, log *slog.Logger, reg prometheus.Registerer) error {
	w, err := writer.New(cfg.PrimaryURL, log, reg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error {
		_ = w.Run(ctx) // ends with the context only
		return nil
	}, func(error) { cancel() })
	return nil
}

// verifyInBackground adds the comparison that goes on while the replicator streams; nil if it is off.
func verifyInBackground(ctx context.Context, g *run.Group, cfg *config, r *project.Replicator, log *slog.Logger, reg prometheus.Registerer) (*verify.Background, error) {
	if cfg.VerifyInterval == 0 {
		return nil, nil
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	v := verify.New(cfg.PrimaryURL, options)
	streaming := func() bool { return r.Status(time.Now()).State == project.Streaming }
	b := verify.NewBackground(v, cfg.VerifyInterval, streaming, log, reg)
	ctx, cancel := context.WithCancel(ctx)
	g.Add(func() error { return errors.Join(b.Run(ctx), v.Close()) }, func(error) { cancel() })
	return b, nil
}
