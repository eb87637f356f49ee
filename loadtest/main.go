// Command loadtest fills the database with the data set and puts the system under load.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// A subcommand parses its own arguments. Results go to out; progress and notes go to notes.
type subcommand struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, out, notes io.Writer) error
}

var subcommands = []subcommand{
	{"seed", "fill an empty database with the data set", runSeed},
	{"level", "put the system under the load of one of the six levels", runLevel},
	{"paths", "compare the read paths", runPaths},
	{"all", "run the six levels and the comparison of paths", runAll},
	{"run", "the same as level, from several machines", runRun},
	{"agent", "make load for a controller on another machine", runAgent},
	{"compare", "show what changed between two runs beyond noise", runCompare},
}

// errUsage is returned when the arguments are wrong and the notes already say how.
var errUsage = errors.New("wrong arguments")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case errors.Is(err, report.ErrIncomparable):
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "loadtest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, notes io.Writer) error {
	if len(args) == 0 {
		fmt.Fprint(notes, usage())
		return errUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		_, err := fmt.Fprint(out, usage())
		return err
	}
	for _, c := range subcommands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], out, notes)
		}
	}
	fmt.Fprintf(notes, "loadtest: unknown subcommand %q\n%s", args[0], usage())
	return errUsage
}

func usage() string {
	var b strings.Builder
	b.WriteString("usage: loadtest SUBCOMMAND [FLAGS]\n\n")
	for _, c := range subcommands {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.summary)
	}
	b.WriteString("\nloadtest SUBCOMMAND -h lists its flags.\n")
	return b.String()
}

// parse parses a subcommand's flags and allows no other arguments. It returns flag.ErrHelp after
// it has printed the help that was asked for, errUsage after it has printed what is wrong.
func parse(flags *flag.FlagSet, args []string, notes io.Writer) error {
	flags.SetOutput(notes)
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		fmt.Fprintf(notes, "unexpected argument %q\n", flags.Arg(0))
		flags.Usage()
		return errUsage
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return errUsage
	}
	return err
}
