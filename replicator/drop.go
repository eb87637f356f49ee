package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/session"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const dropHelp = `usage: replicator drop [--redis] [--json]

Removes the pipeline that PIPELINE names, once its replicators are stopped: drops its replication slots, so that the
primary keeps no WAL for them. With --redis it also removes the read model from the Redis that REDIS_URL names. A replicator
of that pipeline that is started later copies everything anew.

Environment:
  PIPELINE     the name of the pipeline; the unnamed one if it is not set
  PRIMARY_URL  all servers as role replicator
  REDIS_URL    redis://host:port/database, only needed with --redis

Exit status:
  0  it is removed, or there was nothing
  1  a replicator of it runs, Redis is another pipeline's or another primary's, or something could not be removed
  2  wrong arguments
`

func runDrop(ctx context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("replicator drop", dropHelp)
	emptied := flags.Bool("redis", false, "also remove the read model from Redis")
	asJSON := jsonFlag(flags)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	return failed(out, *asJSON, drop(ctx, *emptied, *asJSON, out))
}

// dropped is what a pipeline has on the primary.
type dropped struct {
	Named
	PrimaryURL string `env:"PRIMARY_URL,required"`
}

// Check makes dropped an env.Checker.
func (d *dropped) Check() []error {
	return append(d.Named.Check(), Stores{PrimaryURL: d.PrimaryURL}.checkPrimary())
}

func drop(ctx context.Context, emptied, asJSON bool, out io.Writer) error {
	cfg, err := env.Parse(&dropped{})
	if err != nil {
		return cli.Wrong(err)
	}
	servers, err := wal.Servers(cfg.PrimaryURL)
	if err != nil {
		return cli.Wrong(err)
	}
	var client *redis.Client
	if emptied {
		if client, err = sinkClient(); err != nil {
			return cli.Wrong(err)
		}
		defer client.Close()
	}
	d, err := session.Drop(ctx, servers, cfg.Pipeline, client)
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, d)
	}
	what := "no slots"
	if len(d.Slots) > 0 {
		what = "the slots " + strings.Join(d.Slots, ", ")
	}
	if emptied {
		what += fmt.Sprintf(" and %s keys", progress.Grouped(d.Keys))
	}
	_, err = fmt.Fprintf(out, "%s: removed %s\n", cfg.Pipeline, what)
	return err
}
