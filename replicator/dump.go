package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/dump"
)

const dumpHelp = `usage: replicator dump [--limit N] [--json] KEY

Prints a key of the read model as JSON, one item on a line. It reads the key in pages, so its memory does not depend
on the size of the key, and changes nothing. Quote the key: the shell would take its braces. The keys are
` + dump.Keys + `

Environment:
  REDIS_URL  redis://host:port/database

Exit status:
  0  everything was printed
  1  Redis has no such key, or an item can't be read; such an item is printed in hexadecimal
  2  wrong arguments, also a name that no key of the read model has
`

func runDump(ctx context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("replicator dump", dumpHelp)
	most := flags.Int64("limit", 0, "print at most `N` items (0: all)")
	asJSON := flags.Bool("json", false, `print an error as JSON, too: {"error": "..."}, and on standard error as always`)
	if err := cli.Parse(flags, args, 1, out); err != nil {
		return err
	}
	if flags.NArg() == 0 || *most < 0 {
		return cli.Wrong(errors.New("one KEY and a --limit that is not negative are needed; replicator dump --help lists the keys"))
	}
	return failed(out, *asJSON, dumpKey(ctx, dump.Options{Key: flags.Arg(0), Most: *most}, out))
}

func dumpKey(ctx context.Context, what dump.Options, out io.Writer) error {
	client, err := sinkClient()
	if err != nil {
		return cli.Wrong(err)
	}
	defer client.Close()
	buffered := bufio.NewWriter(out)
	result, err := dump.Run(ctx, client, what, buffered)
	if flushErr := buffered.Flush(); err == nil {
		err = flushErr
	}
	switch {
	case errors.Is(err, dump.ErrUnknown):
		return cli.Wrong(err)
	case err == nil && result.Unreadable > 0:
		return fmt.Errorf("%d of %d items can't be read", result.Unreadable, result.Items)
	}
	return err
}

// sinkClient connects to the Redis that REDIS_URL names.
func sinkClient() (*redis.Client, error) {
	cfg, err := env.Parse(&sink{})
	if err != nil {
		return nil, err
	}
	options, err := Stores{RedisURL: cfg.RedisURL}.options()
	if err != nil {
		return nil, err
	}
	return newClient(options), nil
}

// newClient connects to Redis for a subcommand that tells its errors itself.
func newClient(options *redis.Options) *redis.Client {
	redis.SetLogger(silent{})
	options.DisableIdentity = true
	return redis.NewClient(options)
}

// silent takes what go-redis would print on standard error.
type silent struct{}

// Printf makes silent a logger of go-redis.
func (silent) Printf(context.Context, string, ...any) {}
