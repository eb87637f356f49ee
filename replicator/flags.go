package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

func usage() string {
	var b strings.Builder
	b.WriteString("usage: replicator [SUBCOMMAND [FLAGS]]\n\n" +
		"Keeps the read model in Redis equal to the primary, PostgreSQL.\n\n")
	for _, c := range subcommands {
		fmt.Fprintf(&b, "  %-8s %s\n", c.name, c.summary)
	}
	b.WriteString("\nreplicator SUBCOMMAND --help says what it does, which environment it reads and what its exit status means.\n")
	return b.String()
}

// newFlags makes the flags of a subcommand; help is the text above their list.
func newFlags(name, help string) *flag.FlagSet {
	flags := flag.NewFlagSet("replicator "+name, flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), help)
		first := true
		flags.VisitAll(func(*flag.Flag) {
			if first {
				fmt.Fprint(flags.Output(), "\nFlags:\n")
			}
			first = false
		})
		flags.PrintDefaults()
	}
	return flags
}

// parse allows no arguments but flags. Help that is asked for goes to out, what is wrong to notes.
func parse(flags *flag.FlagSet, args []string, out, notes io.Writer) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		flags.Usage()
		return err
	}
	flags.SetOutput(notes)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if err != nil {
		return fmt.Errorf("%w; %s --help lists the flags", err, flags.Name())
	}
	return nil
}
