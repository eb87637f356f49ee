package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat/writer"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/service"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/session"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const runHelp = `usage: replicator [run]

Copies bids, raffles and products from the primary's logical replication stream to Redis, builds the
read model anew when that is needed, and compares it with the primary in the background. It runs until
SIGTERM and is configured by the environment:

  LISTEN_ADDR      host:port of the page /ops, GET /v1/status and POST /v1/rebuild: loopback, to see asks for no password
  ADMIN_ADDR       host:port of /livez, /readyz, /metrics and /debug/pprof
  PRIMARY_URL      all servers as role replicator: the one that takes writes on the highest timeline is the primary
  REDIS_URL        redis://host:port/database
  PIPELINE         the name of the pipeline, none by default: with another name and another Redis, a second
                   replicator of the database fills that Redis beside the first
  JWKS_URL         the public keys of tokens (command's /.well-known/jwks.json): admins may ask for a
                   rebuild, a comparison or a repair on the page /ops; without it only programs of this machine
  OPS_PEERS        pages of other services that this one shows, as http://host:port,...: LISTEN_ADDR of
                   replicators, ADMIN_ADDR of query
  OPS_HOSTS        names with a dot by which the page is opened, without ports
  VERIFY_INTERVAL  how often some 200 raffles are compared in the background, default 30s; 0 turns it off
  PRIMARY_URL_FILE, REDIS_URL_FILE  files that hold these values instead
  TLS_FILE         a PEM file with a certificate and its key, with which both listeners speak TLS only
  DRAIN_DELAY      how long it goes on after SIGTERM while /readyz says 503, default 0s, at most 5s
  CLOCK_OFFSET     sets its clock wrong for drills, -1h to 1h, default 0s
  LOG_LEVEL        debug, info (default), warn or error

Of several replicators of one pipeline one works and the others wait. A change that does not fit the
read model stops it, and "replicator status" says why; once that is put right, "replicator rebuild"
copies everything anew.
`

func runReplicator(ctx context.Context, args []string, out, notes io.Writer) error {
	if err := cli.Parse(cli.NewFlags("replicator run", runHelp), args, 0, out); err != nil {
		return err
	}
	cfg, err := env.Parse(&config{})
	if err != nil {
		return err
	}
	return replicate(ctx, cfg, notes)
}

// replicate runs until the context ends.
func replicate(ctx context.Context, cfg *config, notes io.Writer) error {
	options, err := cfg.options()
	if err != nil {
		return err
	}
	primaries, err := wal.Servers(cfg.PrimaryURL)
	if err != nil {
		return err
	}
	s, err := service.New("replicator", cfg.Common, notes)
	if err != nil {
		return err
	}
	redis.SetLogger(service.Lines{Log: s.Log})
	// The heartbeat is written even while Redis is down or another replicator works.
	heartbeat, err := writer.New(cfg.PrimaryURL, new(pg.Timelines), s.Log, s.Metrics)
	if err != nil {
		return err
	}
	r := session.New(primaries, options, s.Log, s.Metrics)
	r.SetClock(cfg.Clock())
	r.SetPipeline(cfg.Pipeline)
	r.SetSpans(s.Requests.Spans)
	page := newPage(s, cfg, r)
	background, err := verifyInBackground(s, cfg, r)
	if err != nil {
		return err
	}
	operator := ops.Replicator{Rebuild: r.RequestRebuild, Guard: page.guard, Status: func(now time.Time) ops.Status {
		status := ops.Status{Status: r.Status(now)}
		if background != nil {
			state := background.State()
			status.Verify = &state
		}
		return status
	}}
	if operator.Compare, err = page.compares(background); err != nil {
		return err
	}
	s.Serve(page.Handler(ops.Handler(s.Log, s.Metrics, operator)), r.Ready)
	s.Add(page.Run)
	s.Add(heartbeat.Run)
	s.Add(r.Run)
	return s.Run(ctx)
}

// verifyInBackground adds the background comparison, which runs while the replicator streams and Redis follows. It returns nil if the
// comparison is off.
func verifyInBackground(s *service.Service, cfg *config, r *session.Replicator) (*verify.Background, error) {
	if cfg.VerifyInterval == 0 {
		return nil, nil
	}
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	v := verify.New(cfg.PrimaryURL, options)
	follows := func() bool {
		now := r.Status(time.Now())
		return now.State == status.Streaming && !now.Waits()
	}
	b := verify.NewBackground(v, cfg.VerifyInterval, follows, s.Log, s.Metrics)
	s.Add(func(ctx context.Context) error { return errors.Join(b.Run(ctx), v.Close()) })
	return b, nil
}
