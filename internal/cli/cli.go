// Package cli is the frame of programs with subcommands.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/version"
)

// Program is a program with subcommands.
type Program struct {
	Name     string
	About    string // what it is for, a line or more
	Commands []Command
	Default  string // the subcommand that runs without arguments; "": none, the usage is printed
}

// Command is a subcommand. Run parses its own arguments. It writes results to out and progress to notes. Its error decides
// the exit status, see Exit.
type Command struct {
	Name    string
	Summary string
	Run     func(ctx context.Context, args []string, out, notes io.Writer) error
}

// Exit is an error that decides the exit status. Any other error is status 1.
type Exit struct {
	Status int
	Err    error // nil: there is nothing to say
}

// Error is "" if there is nothing to say.
func (e *Exit) Error() string {
	if e.Err == nil {
		return ""
	}
	return e.Err.Error()
}

func (e *Exit) Unwrap() error { return e.Err }

// Wrong is status 2: the arguments or the environment are wrong.
func Wrong(err error) error { return &Exit{Status: 2, Err: err} }

// Main runs the subcommand that the arguments name and ends the program.
func (p Program) Main(ctx context.Context) {
	os.Exit(p.Status(p.Run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr))
}

// Run runs the subcommand that args begins with.
func (p Program) Run(ctx context.Context, args []string, out, notes io.Writer) error {
	if version.Print(out, p.Name, args) {
		return nil
	}
	if len(args) == 0 {
		args = []string{p.Default}
	}
	for _, c := range p.Commands {
		if c.Name == args[0] {
			err := c.Run(ctx, args[1:], out, notes)
			if errors.Is(err, flag.ErrHelp) {
				return nil
			}
			return err
		}
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(out, p.usage())
		return err
	case "":
		return Wrong(fmt.Errorf("which subcommand?\n%s", p.usage()))
	}
	return Wrong(fmt.Errorf("unknown subcommand %q\n%s", args[0], p.usage()))
}

// Status is the exit status for the error that Run returned. It writes the error to notes.
func (p Program) Status(err error, notes io.Writer) int {
	if err == nil {
		return 0
	}
	status := 1
	if exit := (*Exit)(nil); errors.As(err, &exit) {
		status = exit.Status
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(notes, "%s: %s\n", p.Name, strings.TrimSuffix(text, "\n"))
	}
	return status
}

func (p Program) usage() string {
	var b strings.Builder
	format := "usage: %s SUBCOMMAND [FLAGS]\n\n%s\n\n"
	if p.Default != "" {
		format = "usage: %s [SUBCOMMAND [FLAGS]]\n\n%s\n\n"
	}
	fmt.Fprintf(&b, format, p.Name, p.About)
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "  %-8s %s\n", c.Name, c.Summary)
	}
	fmt.Fprintf(&b, "\n%s SUBCOMMAND --help says what it does and lists its flags. %s --version names the build.\n", p.Name, p.Name)
	return b.String()
}

// NewFlags makes the flags of a subcommand, such as "loadtest seed". help is the text above the list of flags.
func NewFlags(name, help string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
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

// Parse parses flags and allows up to most further arguments. If help is asked for, it writes the help to out and
// returns flag.ErrHelp. If the arguments are wrong, it returns an Exit.
func Parse(flags *flag.FlagSet, args []string, most int, out io.Writer) error {
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		flags.Usage()
		return err
	}
	if err == nil && flags.NArg() > most {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(most))
	}
	if err != nil {
		return Wrong(fmt.Errorf("%w; %s --help lists the flags", err, flags.Name()))
	}
	return nil
}
