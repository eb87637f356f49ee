package main

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/paths"
)

func runPaths(ctx context.Context, args []string, out, notes io.Writer) error {
	c, p, err := parsePaths(args, out, notes)
	if err != nil {
		return err
	}
	run, err := paths.Run(ctx, c)
	if err != nil {
		return err
	}
	levels.Describe(run)
	return emit(run, p.out, out, run.WriteText)
}

func parsePaths(args []string, out, notes io.Writer) (c paths.Config, p *place, err error) {
	flags := cli.NewFlags("loadtest paths", `usage: loadtest paths [FLAGS]

Compares the read paths: Redis, the replica through pgpool-II, the standby, the primary, and a scan
without an index. Needs a query service with ALLOW_READ_PATH=true.
`)
	p = addPlace(flags)
	list := flags.String("paths", strings.Join(paths.All, ","), "the `paths` to compare")
	flags.Float64Var(&c.Rate, "rate", 200, "lookups of a raffle's bids per second (open model)")
	flags.Float64Var(&c.SizeRate, "size-rate", 10, "lookups of a size over all raffles per second")
	flags.IntVar(&c.Blocks, "blocks", 6, "blocks of each path, by turns; 6 give the ratio an interval of 95 %")
	flags.DurationVar(&c.Block, "block", time.Second/2, "length of a block")
	flags.IntVar(&c.Warm, "warm", 200, "keys that were read before, the same for all paths")
	flags.IntVar(&c.Cold, "cold", 200, "keys for each path that are read for the first time")
	flags.IntVar(&c.Scans, "scans", 6, "requests without an index, one after the other")
	flags.IntVar(&c.Size, "size", 270, "the size to look up over all raffles, in mm")
	flags.Uint64Var(&c.Seed, "seed", 1, "the same seed reads the same keys")
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return c, p, err
	}
	c.Paths, c.Notes = strings.Split(*list, ","), notes
	c.URL = p.url
	c.Addr, c.TLS, err = levels.Plan{URL: p.url}.Address()
	if err := errors.Join(err, c.Check(), p.readProcesses()); err != nil {
		return c, p, cli.Wrong(err)
	}
	c.Processes = p.processes
	primary, standby := p.database, os.Getenv("LOADTEST_STANDBY_URL")
	// The replica is the standby behind pgpool-II, which would send EXPLAIN EXECUTE to the primary.
	c.Databases = map[string]string{"primary": primary, "standby": standby, paths.Scan: standby, "replica": standby}
	return c, p, nil
}
