package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/preflight"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const checkHelp = `usage: replicator check [--json]

Looks whether the servers are fit for the replicator, before its first run or after a change of a server, and says
what to do about each thing that is not. It changes nothing. It looks on the primary at settings, free slots, rights, the
publication, open transactions and the clock; on Redis at version, eviction, persistence, memory for two epochs, rights and
the clock. A running replicator is not needed and not disturbed.

Environment:
  PRIMARY_URL  all servers as role replicator
  REDIS_URL    redis://host:port/database
  PIPELINE     the name of the pipeline, none by default

Exit status:
  0  everything is ok
  1  something should be better (warn)
  2  something must be put right (FAIL), or wrong arguments
`

// checked is what "check" looks at.
type checked struct {
	Stores
	Named
}

// Check makes checked an env.Checker.
func (c *checked) Check() []error { return append(c.Stores.Check(), c.Named.Check()...) }

func runCheck(ctx context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("replicator check", checkHelp)
	asJSON := jsonFlag(flags)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	return failed(out, *asJSON, check(ctx, *asJSON, out))
}

func check(ctx context.Context, asJSON bool, out io.Writer) error {
	cfg, err := env.Parse(&checked{})
	if err != nil {
		return cli.Wrong(err)
	}
	options, err := cfg.options()
	if err != nil {
		return cli.Wrong(err)
	}
	options.MaxRetries = -1
	servers, err := wal.Servers(cfg.PrimaryURL)
	if err != nil {
		return cli.Wrong(err)
	}
	client := newClient(options)
	defer client.Close()
	report := preflight.Run(ctx, preflight.Servers{Primary: servers, Redis: client, Pipeline: cfg.Pipeline})
	if asJSON {
		err = printJSON(out, report)
	} else {
		err = printCheck(out, report)
	}
	if err != nil {
		return cli.Wrong(err)
	}
	if status := checkStatus[report.Worst]; status != 0 {
		return &cli.Exit{Status: status}
	}
	return nil
}

// checkStatus is the exit status.
var checkStatus = map[preflight.Level]int{preflight.OK: 0, preflight.Warn: 1, preflight.Fail: 2}

func printCheck(out io.Writer, r preflight.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range r.Lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Level, l.On, l.What, l.Found)
		if l.Do != "" {
			fmt.Fprintf(w, "\t\t\t-> %s\n", l.Do)
		}
	}
	// Flush writes what w buffers and returns the error of any write.
	return w.Flush()
}
