package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

const verifyHelp = `usage: replicator verify [--repair] [--raffle N] [--rate ROWS] [--json]

Compares the read model in Redis with the primary, key by key and at equal positions of the write-ahead
log, while bids come in and the replicator runs. What differs is printed, a line for each key. It uses a
temporary replication slot, reads every bid once and needs memory for the lists, not for the bids.

With --repair the active replicator reloads the raffles and lists that differ, and everything is compared again.
SQL answers for each of them until it is whole.

Environment:
  PRIMARY_URL  the primary as role replicator
  REDIS_URL    redis://host:port/database

Exit status:
  0  equal, or with --repair: made equal
  1  something differs
  2  could not be compared to the end
`

const (
	divergent    = 1 // the exit status
	printedLines = 100
)

func runVerify(ctx context.Context, args []string, out, notes io.Writer) error {
	options := verify.Options{Scope: verify.Everything, Details: printedLines}
	flags := cli.NewFlags("replicator verify", verifyHelp)
	flags.BoolVar(&options.Repair, "repair", false, "mend what differs")
	raffle := flags.Int64("raffle", 0, "compare the keys of raffle `N` only")
	asJSON := jsonFlag(flags)
	flags.IntVar(&options.Rate, "rate", 0, "read at most `ROWS` bids, and as many members of Redis, a second (0: no limit)")
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	if *raffle < 0 || options.Rate < 0 {
		return cli.Wrong(fmt.Errorf("--raffle and --rate must not be negative"))
	}
	if *raffle > 0 {
		options.Scope = verify.Scope{After: *raffle - 1, To: *raffle}
	}
	return failed(out, *asJSON, compareAndPrint(ctx, options, *asJSON, out, notes))
}

func compareAndPrint(ctx context.Context, options verify.Options, asJSON bool, out, notes io.Writer) error {
	cfg, err := env.Parse(&Stores{})
	if err != nil {
		return cli.Wrong(err)
	}
	report, err := compare(ctx, cfg, options, notes)
	if err != nil {
		return cli.Wrong(fmt.Errorf("could not compare: %w", err))
	}
	if asJSON {
		err = printJSON(out, report)
	} else {
		err = printReport(out, report)
	}
	if err != nil {
		return cli.Wrong(err)
	}
	if report.Divergent > report.Repaired {
		return &cli.Exit{Status: divergent}
	}
	return nil
}

func compare(ctx context.Context, cfg *Stores, options verify.Options, notes io.Writer) (verify.Report, error) {
	redis, err := cfg.options()
	if err != nil {
		return verify.Report{}, err
	}
	v := verify.New(cfg.PrimaryURL, redis)
	p := progress.New(notes, time.Now)
	options.Progress = p.Update
	report, err := v.Run(ctx, options)
	p.End()
	if closeErr := v.Close(); err == nil {
		err = closeErr
	}
	return report, err
}

func printReport(out io.Writer, r verify.Report) error {
	for _, f := range r.Findings {
		if _, err := fmt.Fprintln(out, f); err != nil {
			return err
		}
	}
	if more := r.Divergent - len(r.Findings); more > 0 {
		if _, err := fmt.Fprintf(out, "and %s more\n", progress.Grouped(int64(more))); err != nil {
			return err
		}
	}
	verdict := "all are as the primary has them"
	if r.Divergent > 0 {
		verdict = fmt.Sprintf("%s differ, %s repaired", progress.Grouped(int64(r.Divergent)), progress.Grouped(int64(r.Repaired)))
	}
	if r.Pending > 0 {
		verdict += fmt.Sprintf("; %s are being reloaded or lack a row that the read model can't hold, so SQL answers for them", progress.Grouped(int64(r.Pending)))
	}
	_, err := fmt.Fprintf(out, "%s keys of epoch %d with %s entries of bids, up to LSN %s, against %s bids in %.1f s: %s\n",
		progress.Grouped(r.Keys), r.Epoch, progress.Grouped(r.Members), r.LSN, progress.Grouped(r.Rows), r.Took.Seconds(), verdict)
	return err
}
