package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

const compareUsage = `usage: loadtest compare --before RUNS --after RUNS

Prints what changed between two groups of runs beyond the noise from run to run. RUNS are JSON files of runs of one
level, separated by commas, or folders of such files. Have the two sides take turns, so that what drifts meanwhile meets
both. Each side needs 4 to 8 runs, because with fewer the clearest change may be chance: 5 for up to 6 measures, 6 for
up to 23, 7 for up to 85. A step has up to 6 measures, a path up to 4. Only measures with enough requests count.

Exit status: 0 if nothing is worse, 1 if something is, 2 if the runs can't be compared.
`

// errWorse says that the runs after are worse beyond noise.
var errWorse = errors.New("the runs after are worse")

func runCompare(_ context.Context, args []string, out, _ io.Writer) error {
	flags := cli.NewFlags("loadtest compare", compareUsage)
	var sides [2]string
	flags.StringVar(&sides[0], "before", "", "`files` or folders of the runs before")
	flags.StringVar(&sides[1], "after", "", "`files` or folders of the runs after")
	if err := cli.Parse(flags, args, 2, out); err != nil {
		return err
	}
	if flags.NArg() == 2 && flags.NFlag() == 0 {
		copy(sides[:], flags.Args()) // told how many are needed
	} else if flags.NArg() > 0 || sides[0] == "" || sides[1] == "" {
		return cli.Wrong(errors.New("compare needs --before and --after; " + flags.Name() + " --help says what"))
	}
	var runs [2][]*report.Run
	for i := range sides {
		var err error
		if runs[i], err = readRuns(sides[i]); err != nil {
			return cli.Wrong(fmt.Errorf("%w: %w", report.ErrIncomparable, err))
		}
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

// readRuns reads the files that a list names, and those of the folders in it.
func readRuns(list string) (runs []*report.Run, err error) {
	for name := range strings.SplitSeq(list, ",") {
		names := []string{name}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			if names, err = filepath.Glob(filepath.Join(name, "*.json")); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			run, err := readRun(name)
			if err != nil {
				return nil, err
			}
			runs = append(runs, run)
		}
	}
	return runs, nil
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
