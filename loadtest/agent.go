package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/cluster"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
)

const agentUsage = `usage: loadtest agent [FLAGS]

Makes load for "loadtest run --agents" on another machine, one job after the other, until it is
interrupted. Both must be the same build: of one commit without changes, or copies of one file.
LOADTEST_TOKEN_FILE or LOADTEST_TOKEN holds the secret of both (openssl rand -base64 24 makes one).
Whoever has it can have the agent load any address. The channel is encrypted, and the secret does
not cross it.
`

func runAgent(ctx context.Context, args []string, out, notes io.Writer) error {
	flags := cli.NewFlags("loadtest agent", agentUsage)
	listen := flags.String("listen", "127.0.0.1:9500", "`address` for the controller")
	work := flags.String("work", filepath.Join(cmp.Or(os.Getenv("LOCAL_DIR"), ".local"), "loadtest"), "`folder` for tokens and journals")
	procs := flags.Int("procs", 0, "processors that the load may use at once (default: all)")
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	channel, err := cluster.ReadChannel()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	// A folder of its own: two agents on one machine must not write the same files.
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	runner := &levels.Runner{Dir: filepath.Join(*work, "agent-"+port), Procs: *procs, Notes: notes}
	fmt.Fprintf(notes, "agent: waiting for a controller at %s\n", l.Addr())
	return cluster.NewAgent(runner, channel, notes).Serve(ctx, l)
}
