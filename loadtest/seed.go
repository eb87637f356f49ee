package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/seed"
)

type seedConfig struct {
	url     string
	scale   dataset.Scale
	seed    uint64
	at      time.Time
	ifEmpty bool
	plan    bool // print what it would take, load nothing
}

func runSeed(ctx context.Context, args []string, out, notes io.Writer) error {
	if err := env.LoadFile(); err != nil {
		return err
	}
	cfg, err := parseSeed(args, os.Getenv("SEED_URL"), time.Now(), out)
	if err != nil {
		return err
	}
	if cfg.plan {
		return planTenfold(ctx, cfg, os.Getenv("LOADTEST_REDIS_BYTES_PER_BID"), out, notes)
	}
	set, err := dataset.New(cfg.scale, cfg.seed)
	if err != nil {
		return err
	}
	p := progress.New(notes, time.Now)
	summary, err := seed.Load(ctx, cfg.url, set, cfg.at, p.Update)
	p.End()
	if errors.Is(err, seed.ErrNotEmpty) && cfg.ifEmpty {
		_, printErr := fmt.Fprintf(out, "nothing to do: %v\n", err)
		return printErr
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	if err != nil {
		return err
	}
	return printSummary(out, summary)
}

func parseSeed(args []string, url string, now time.Time, out io.Writer) (cfg seedConfig, err error) {
	flags := cli.NewFlags("loadtest seed", "usage: loadtest seed --scale demo|full|10x [FLAGS]\n\n"+
		"Fills an empty database; SEED_URL is the URL of the role migrator.\n")
	scale := flags.String("scale", "", "demo (200,000 bids), full (12,000,000), or 10x: only say what ten times full would take; required")
	bids := flags.Int64("bids", -1, "number of bids, if not that of the scale")
	flags.Uint64Var(&cfg.seed, "seed", 1, "the same seed makes the same data")
	flags.BoolVar(&cfg.ifEmpty, "if-empty", false, "do nothing, successfully, if the database holds rows")
	cfg.at = now
	flags.Func("at", "moment that times count from, RFC 3339 (default now)", func(v string) (err error) {
		cfg.at, err = time.Parse(time.RFC3339Nano, v)
		return err
	})
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return cfg, err
	}
	switch *scale {
	case "demo":
		cfg.scale = dataset.Demo
	case "full":
		cfg.scale = dataset.Full
	case "10x":
		cfg.scale, cfg.plan = dataset.Full, true
	default:
		return cfg, cli.Wrong(fmt.Errorf("--scale is %q, want demo, full or 10x", *scale))
	}
	if *bids >= 0 {
		cfg.scale.Bids = *bids
	}
	if cfg.url = url; url == "" {
		return cfg, errors.New("set SEED_URL to the URL of the role migrator")
	}
	return cfg, nil
}

func printSummary(out io.Writer, s seed.Summary) error {
	_, err := fmt.Fprintf(out, `users %s, products %s, raffles %s, bids %s
%s rows in %.1f s (%s rows/s), with indexes, vacuum and statistics %.1f s (%s rows/s)
%.0f bytes per bid, indexes included
users are user1 to user%d and admin, all with the password %q
`,
		progress.Grouped(s.Rows["users"]), progress.Grouped(s.Rows["products"]), progress.Grouped(s.Rows["raffles"]), progress.Grouped(s.Rows["bids"]),
		progress.Grouped(s.TotalRows()), s.Copy.Seconds(), progress.Grouped(progress.PerSecond(s.TotalRows(), s.Copy)),
		s.Elapsed.Seconds(), progress.Grouped(progress.PerSecond(s.TotalRows(), s.Elapsed)),
		s.BytesPerBid, s.Rows["users"]-1, dataset.Password)
	return err
}
