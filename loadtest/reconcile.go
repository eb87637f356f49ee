package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const reconcileUsage = `usage: loadtest reconcile JOURNAL...

Compares the bids of a run that was interrupted, lost or not clean with PostgreSQL and Redis again. The
journals are those of all generators of the run; they lie below the folder of --work.
`

func runReconcile(ctx context.Context, args []string, out, notes io.Writer) error {
	flags := cli.NewFlags("loadtest reconcile", reconcileUsage)
	p := addPlace(flags)
	if err := cli.Parse(flags, args, len(args), out); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return cli.Wrong(errors.New("which journals? loadtest reconcile --help says where they are"))
	}
	show := newLive(notes)
	run := &report.Run{Version: report.Version, Name: "reconcile", Level: "reconcile", Started: time.Now(),
		Purpose: "Whether the bids of an earlier run are in PostgreSQL and Redis, each once and as it was sent."}
	err := levels.Reconcile(ctx, run, levels.Plan{URL: p.url}, p.database, show.step, flags.Args())
	show.end()
	if err != nil {
		return err
	}
	run.Elapsed = time.Since(run.Started)
	return emit(run, p.out, out, run.WriteText)
}
