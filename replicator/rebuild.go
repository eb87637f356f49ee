package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/ops"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

const rebuildHelp = `usage: replicator rebuild [--accept-older-timeline] [--json]

Has the running replicator copy everything anew into the next epoch, and follows that until reads are
answered from it. The old epoch is served meanwhile, as it stands: its lag grows. Redis needs room for
both; without it nothing is begun. Interrupting this command does not stop the rebuild.

Environment:
  LISTEN_ADDR  host:port of the running replicator's POST /v1/rebuild and GET /v1/status

Exit status:
  0  the new epoch is served
  1  it failed, or no replicator answers; the replicator goes on trying
  2  wrong arguments
`

const (
	followEvery  = 200 * time.Millisecond
	beginsWithin = 30 * time.Second
)

func runRebuild(ctx context.Context, args []string, out, notes io.Writer) error {
	flags := cli.NewFlags("replicator rebuild", rebuildHelp)
	older := flags.Bool("accept-older-timeline", false,
		"also rebuild from a primary on an older timeline than the read model's: what the later one had is given up")
	asJSON := jsonFlag(flags)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	return failed(out, *asJSON, rebuild(ctx, *older, *asJSON, out, notes))
}

// rebuild has a rebuild made and prints when it is served.
func rebuild(ctx context.Context, older, asJSON bool, out, notes io.Writer) error {
	o, err := newOperator()
	if err != nil {
		return cli.Wrong(err)
	}
	before, err := o.rebuild(ctx, older)
	if err != nil {
		return err
	}
	begun := time.Now()
	p := progress.New(notes, time.Now)
	after, err := o.follow(ctx, before, p)
	p.End()
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(out, struct {
			Epoch   uint64  `json:"epoch"`
			Before  uint64  `json:"before"`
			Seconds float64 `json:"seconds"`
		}{after.Epoch, before.Epoch, time.Since(begun).Seconds()})
	}
	_, err = fmt.Fprintf(out, "epoch %d is served in place of %d after %.1f s\n", after.Epoch, before.Epoch, time.Since(begun).Seconds())
	return err
}

// follow waits until a newer epoch than that of before is served, or until the replicator reports an error.
func (o *operator) follow(ctx context.Context, before ops.Status, p *progress.Progress) (ops.Status, error) {
	const step = "rebuilding"
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	begun, deadline := false, time.Now().Add(beginsWithin)
	for {
		s, err := o.status(ctx)
		switch {
		case err != nil:
			return s, err
		case s.Epoch > before.Epoch && s.State == status.Streaming:
			return s, nil
		case s.Rebuilds > before.Rebuilds && s.LastErrorAt != "" && s.LastErrorAt != before.LastErrorAt: // a session that begins clears it
			return s, errors.New("the rebuild failed, and is tried again: " + s.LastError)
		case s.Rebuilds == before.Rebuilds && time.Now().After(deadline):
			return s, fmt.Errorf("the rebuild has not begun within %s; the last error is: %s", beginsWithin, s.LastError)
		case s.Rebuild != nil && s.Rebuild.Rows > 0:
			if !begun {
				p.Update(step, 0, s.Rebuild.Expected)
			}
			begun = true
			p.Update(step, s.Rebuild.Rows, max(s.Rebuild.Expected, s.Rebuild.Rows+1))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, errors.New("interrupted: the rebuild goes on")
		}
	}
}
