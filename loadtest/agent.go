package main

import (
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
interrupted. Whoever holds the token can have it load any address: LOADTEST_TOKEN_FILE or
LOADTEST_TOKEN holds it, and it crosses the network as it is.
`

func runAgent(ctx context.Context, args []string, out, notes io.Writer) error {
	flags := cli.NewFlags("loadtest agent", agentUsage)
	listen := flags.String("listen", "127.0.0.1:9500", "`address` for the controller")
	work := flags.String("work", filepath.Join(orElse(os.Getenv("LOCAL_DIR"), ".local"), "loadtest"), "`folder` for tokens and journals")
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	token, err := cluster.ReadToken()
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
	runner := &levels.Runner{Dir: filepath.Join(*work, "agent-"+port), Notes: notes}
	fmt.Fprintf(notes, "agent: waiting for a controller at %s\n", l.Addr())
	return cluster.NewAgent(runner, token, notes).Serve(ctx, l)
}
