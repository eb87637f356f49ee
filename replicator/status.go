package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

const statusHelp = `usage: replicator status [--json]

Shows what the running replicator does: its state, how far the read model is and how far behind, its
replication slot, a rebuild under way, the last error, and what the background comparison has found. With --json it
prints the answer of GET /v1/status as it is.

Environment:
  LISTEN_ADDR  host:port of the running replicator's GET /v1/status

Exit status:
  0  it is streaming, so the read model follows the primary, or waits because another replicator works
  1  it does neither, as while it is paused, or no replicator answers
  2  wrong arguments
`

func runStatus(ctx context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("replicator status", statusHelp)
	asJSON := jsonFlag(flags)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	return failed(out, *asJSON, showStatus(ctx, out, *asJSON))
}

func showStatus(ctx context.Context, out io.Writer, asJSON bool) error {
	o, err := newOperator()
	if err != nil {
		return cli.Wrong(err)
	}
	s, err := o.status(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(out, s)
	} else {
		err = printStatus(out, s)
	}
	if err == nil && s.State != status.Streaming && s.State != status.Waiting {
		return &cli.Exit{Status: 1}
	}
	return err
}

func printStatus(out io.Writer, s ops.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	printState(line, s)
	if s.Waits() {
		line("waits for", "the synchronous standby, since %.1f s", float64(s.HeldMillis)/1000)
	}
	if s.Rebuild != nil {
		line("rebuild", "%s", rebuildLine(*s.Rebuild))
		for _, transaction := range s.Rebuild.WaitsFor {
			line("waits for", "a transaction to end: %s", transaction)
		}
		line("new slot", "%s, which holds %s of WAL back", s.Rebuild.Slot, megabytes(s.RetainedBytes))
	}
	if s.LSN == "" {
		line("position", "none: Redis has no whole read model, reads go to SQL")
	} else {
		line("position", "%s (epoch %d)", s.LSN, s.Epoch)
		if s.State == status.Streaming || s.State == status.Paused {
			line("slot", "%s, which holds %s of WAL back%s", s.Slot, megabytes(s.RetainedBytes), limit(s))
		}
	}
	line("lag", "%.3f s, %s of WAL", float64(s.LagMillis)/1000, megabytes(s.LagBytes))
	line("rebuilds", "%d since it was started", s.Rebuilds)
	if s.LastError != "" {
		line("last error", "%s: %s", s.LastErrorAt, s.LastError)
	}
	if s.RetryAt != "" {
		line("next attempt", "%s", s.RetryAt)
	}
	verified(line, s)
	// Flush writes what w buffers and returns the error of any write.
	return w.Flush()
}

// printState prints what the replicator is doing, and whether it or the other one is paused.
func printState(line func(name, format string, args ...any), s ops.Status) {
	if s.Pipeline != "" {
		line("pipeline", "%s", s.Pipeline)
	}
	line("state", "%s", s.State)
	if s.State == status.Waiting {
		line("", "another replicator works; the position is the one in Redis")
	}
	if p := s.Pause; p != nil {
		line("", "since %s; nothing is applied until \"replicator resume\"", p.Since)
		if p.Reason != "" {
			line("reason", "%s", p.Reason)
		}
	}
}

// verified prints the state of the background comparison.
func verified(line func(name, format string, args ...any), s ops.Status) {
	v := s.Verify
	if v == nil {
		line("verified", "not in the background (VERIFY_INTERVAL=0)")
		return
	}
	last := "no whole pass yet"
	if v.LastPassAt != "" {
		last = fmt.Sprintf("%d whole passes, the last at %s", v.Passes, v.LastPassAt)
	}
	line("verified", "%s keys, %s", progress.Grouped(v.VerifiedKeys), last)
	line("divergent", "%s keys", progress.Grouped(int64(v.DivergentKeys)))
	for _, f := range v.Findings {
		line("", "%s", f)
	}
	if v.LastError != "" {
		line("not verified", "%s: %s", v.LastErrorAt, v.LastError)
	}
}

// limit says when the server gives the slot up.
func limit(s ops.Status) string {
	if s.LimitBytes == 0 {
		return ""
	}
	return fmt.Sprintf("; at %s the server gives it up", megabytes(s.LimitBytes))
}

const barWidth = 30

// rebuildLine is a progress bar with rows, rate and remaining time.
func rebuildLine(p status.Progress) string {
	share := 0.0
	if p.Expected > 0 {
		share = min(float64(p.Rows)/float64(p.Expected), 1)
	}
	full := int(share * barWidth)
	return fmt.Sprintf("[%s%s] %.0f %%, %s of about %s rows, %s/s, %d s left (%s)",
		strings.Repeat("#", full), strings.Repeat(".", barWidth-full), 100*share,
		progress.Grouped(p.Rows), progress.Grouped(p.Expected), progress.Grouped(p.PerSec), p.ETA, p.Reason)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/(1<<20)) }
