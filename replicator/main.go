// Command replicator keeps the read model in Redis equal to the primary: it follows the logical
// replication stream and writes it to Redis together with its position. Its other subcommands show how
// that goes, prove that both are equal, and mend or rebuild the read model.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// A subcommand parses its own arguments and returns its exit status; an error without one is a 1.
// Results go to out; progress and notes go to notes.
type subcommand struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, out, notes io.Writer) (status int, err error)
}

var subcommands = []subcommand{
	{"run", "replicate until SIGTERM; what happens without a subcommand", runReplicator},
	{"status", "show what the running replicator does and how far it is", runStatus},
	{"verify", "compare Redis with the primary, while both go on, and repair what differs", runVerify},
	{"reload", "have the running replicator copy one raffle, the newest of a size, or the lists anew", runReload},
	{"rebuild", "have the running replicator copy everything anew, beside what is served", runRebuild},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(dispatch(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// dispatch returns the exit status: 2 for wrong arguments, otherwise that of the subcommand.
func dispatch(ctx context.Context, args []string, out, notes io.Writer) int {
	if len(args) == 0 {
		args = []string{"run"}
	}
	for _, c := range subcommands {
		if c.name != args[0] {
			continue
		}
		status, err := c.run(ctx, args[1:], out, notes)
		switch {
		case errors.Is(err, flag.ErrHelp):
			return 0
		case err != nil:
			fmt.Fprintln(notes, "replicator:", err)
			return max(status, 1)
		}
		return status
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(out, usage())
		return 0
	}
	fmt.Fprintf(notes, "replicator: unknown subcommand %q\n%s", args[0], usage())
	return 2
}
