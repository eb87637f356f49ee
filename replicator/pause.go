package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/pause"
)

const pauseHelp = `usage: replicator pause [--reason TEXT] [--json]

Has the active replicator apply nothing more, and waits until it has stopped: at once, or when the large transaction,
the reload or the rebuild that is under way has ended. It goes on confirming what is in Redis, so the slot stays. The pause outlives
restarts, and takeovers by another instance. It ends with "replicator resume", or if Redis is emptied.

Redis stands still, and its lag grows, as it must. After REDIS_MAX_LAG query answers lists from the standby. The slot holds
back all WAL that is written meanwhile. At max_slot_wal_keep_size the server gives it up, and after "resume" everything is
copied anew. No rebuild begins during a pause.

Environment:
  REDIS_URL  redis://host:port/database

Exit status:
  0  nothing is applied, also if it was paused before
  1  no replicator has stopped within 30 s; it does when it can, and a replicator that starts begins paused
  2  wrong arguments
`

const resumeHelp = `usage: replicator resume [--json]

Ends a pause, and waits until the active replicator applies again or begins to copy everything anew.

Environment:
  REDIS_URL  redis://host:port/database

Exit status:
  0  it applies again, also if it was not paused
  1  the pause has ended, but no replicator has applied anything within 30 s
  2  wrong arguments
`

// orderPatience is how long a pause or its end is waited for.
const orderPatience = 30 * time.Second

func runPause(ctx context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("replicator pause", pauseHelp)
	reason := flags.String("reason", "", "say why; \"replicator status\" shows the `TEXT`")
	asJSON := jsonFlag(flags)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	return failed(out, *asJSON, orderPause(ctx, *reason, *asJSON, out))
}

func orderPause(ctx context.Context, reason string, asJSON bool, out io.Writer) error {
	client, err := sinkClient()
	if err != nil {
		return cli.Wrong(err)
	}
	defer client.Close()
	p, err := pause.Order(ctx, client, reason, orderPatience)
	if errors.Is(err, pause.ErrNotTaken) {
		err = fmt.Errorf(`%w: a large transaction, a reload or a rebuild may be under way, or no replicator runs; "replicator resume" takes the order back`, err)
	}
	if err != nil {
		return err
	}
	if asJSON {
		return printPause(out, true, &p)
	}
	_, err = fmt.Fprintf(out, "paused since %s: nothing is applied until \"replicator resume\"; the slot holds WAL back, see \"replicator status\"\n", since(p))
	return err
}

func runResume(ctx context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("replicator resume", resumeHelp)
	asJSON := jsonFlag(flags)
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	return failed(out, *asJSON, endPause(ctx, *asJSON, out))
}

func endPause(ctx context.Context, asJSON bool, out io.Writer) error {
	client, err := sinkClient()
	if err != nil {
		return cli.Wrong(err)
	}
	defer client.Close()
	p, err := pause.End(ctx, client, orderPatience)
	if errors.Is(err, pause.ErrNotApplying) {
		err = fmt.Errorf(`%w: "replicator status" says what it does`, err)
	}
	if err != nil {
		return err
	}
	text := "it was not paused"
	if p != nil {
		text = fmt.Sprintf("resumed after a pause of %s", time.Since(time.UnixMicro(p.Since)).Round(100*time.Millisecond))
	}
	if asJSON {
		return printPause(out, false, p)
	}
	_, err = fmt.Fprintln(out, text)
	return err
}

// printPause prints whether it is paused, and the pause that began or ended, if there was one.
func printPause(out io.Writer, paused bool, p *readmodel.Pause) error {
	result := struct {
		Paused bool   `json:"paused"`
		Since  string `json:"since,omitempty"`
		Reason string `json:"reason,omitempty"`
	}{Paused: paused}
	if p != nil {
		result.Since, result.Reason = since(*p), p.Reason
	}
	return printJSON(out, result)
}

func since(p readmodel.Pause) string { return time.UnixMicro(p.Since).UTC().Format(time.RFC3339) }
