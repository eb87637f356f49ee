package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const compareUsage = `usage: loadtest compare BEFORE.json AFTER.json

Prints what changed between two runs of a level beyond the noise within them. The exit status is 0 if
nothing is worse, 1 if something is, 2 if the runs can't be compared.
`

// errWorse says that the second run is worse beyond noise.
var errWorse = errors.New("the second run is worse")

func runCompare(_ context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("loadtest compare", compareUsage)
	if err := cli.Parse(flags, args, 2, out); err != nil {
		return err
	}
	if flags.NArg() != 2 {
		return cli.Wrong(errors.New("compare needs two files; " + flags.Name() + " --help says which"))
	}
	var runs [2]*report.Run
	for i := range runs {
		run, err := readRun(flags.Arg(i))
		if err != nil {
			return cli.Wrong(fmt.Errorf("%w: %w", report.ErrIncomparable, err))
		}
		runs[i] = run
	}
	c, err := report.Compare(runs[0], runs[1])
	if err != nil {
		return cli.Wrong(err)
	}
	if err := c.WriteText(out); err != nil {
		return err
	}
	if c.Worse() {
		return errWorse
	}
	return nil
}

func readRun(name string) (*report.Run, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	run, err := report.ReadJSON(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return run, nil
}
