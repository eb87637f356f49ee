package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/drill"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
)

const drillUsage = `usage: loadtest drill [FLAGS] [WORD...]

Causes failures of a running deployment for real, one after the other, under a steady load, and counts what became
of the bids and reads. With words only the drills run whose names hold one of them.

Environment, beside that of all load commands:
  LOADTEST_CTL        the program that handles the parts of the deployment
  LOADTEST_REDIS_URL  the Redis server that a drill empties
  LOADTEST_LOGS       the folder of all logs, which a drill reads
  LOADTEST_PROMETHEUS_URL
                      the Prometheus that says which alerts fire. Without it alerts are not judged, and the drills that wait for
                      one are skipped
  LOADTEST_READY      the URLs of /readyz of programs, separated by commas, which are awaited after each drill
  LOADTEST_OLD_BUILD, LOADTEST_NEW_BUILD
                      the folders of the programs of two releases. The deployment runs the old one; the only drill is then
                      the rolling upgrade and downgrade

Exit status: 1 if a bid was lost or doubled, a read was wrong, a bound was missed, or a drill could not run to its end.
`

func runDrill(ctx context.Context, args []string, out, notes io.Writer) error {
	c := drill.Config{Ctl: drill.Ctl{Path: os.Getenv("LOADTEST_CTL")}, Redis: os.Getenv("LOADTEST_REDIS_URL"), Logs: os.Getenv("LOADTEST_LOGS"), Out: out}
	flags := cli.NewFlags("loadtest drill", drillUsage)
	p := addPlace(flags)
	short := flags.Bool("short", false, "only the most telling drills")
	list := flags.Bool("list", false, "list the drills")
	strict := flags.Bool("no-skips", false, "fail if a drill can't run on this deployment")
	flags.BoolVar(&c.Stories, "stories", false, "tell what happened, second by second, also if a drill passed")
	slack := flags.Int("slack", 1, "how many times as long as they should bids and reads may be out, for a slow machine")
	flags.IntVar(&c.Rates.Bids, "bids", 100, "bids per second")
	flags.IntVar(&c.Rates.Reads, "reads", 200, "reads per second")
	if err := cli.Parse(flags, args, len(args), out); err != nil {
		return err
	}
	c.Drills = drill.Select(*short, max(*slack, 1), flags.Args()...)
	c.OldBuild, c.NewBuild = os.Getenv("LOADTEST_OLD_BUILD"), os.Getenv("LOADTEST_NEW_BUILD")
	if c.OldBuild != "" && c.NewBuild != "" {
		c.Drills = drill.Upgrading(max(*slack, 1))
	}
	c.URL, c.Database, c.Prometheus = strings.TrimSuffix(p.url, "/"), p.database, os.Getenv("LOADTEST_PROMETHEUS_URL")
	if urls := os.Getenv("LOADTEST_READY"); urls != "" {
		c.Ready = strings.Split(urls, ",")
	}
	if *list {
		return listDrills(out, c.Drills)
	}
	if err := checkDrill(c); err != nil {
		return cli.Wrong(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(p.procs()))
	s, err := drill.Run(ctx, c)
	if err != nil {
		return err
	}
	run := s.Report()
	if *strict {
		run.Verdict.Failed = append(run.Verdict.Failed, s.Skipped()...)
	}
	levels.Describe(run)
	return emit(run, p.out, out, func(out io.Writer) error {
		_, err := io.WriteString(out, s.Summary())
		return err
	})
}

func checkDrill(c drill.Config) error {
	var errs []error
	if c.Ctl.Path == "" {
		errs = append(errs, errors.New("LOADTEST_CTL is not set"))
	}
	if c.Database == "" {
		errs = append(errs, errors.New("LOADTEST_DATABASE_URL is not set"))
	}
	if len(c.Drills) == 0 {
		errs = append(errs, errors.New("no drill has such a name: --list shows them"))
	}
	if c.Rates.Bids < 1 || c.Rates.Reads < 1 {
		errs = append(errs, errors.New("the rates must be at least 1"))
	}
	return errors.Join(errs...)
}

func listDrills(out io.Writer, drills []drill.Drill) error {
	for _, d := range drills {
		if _, err := fmt.Fprintf(out, "%-36s %s\n", d.Name, strings.Join(append(d.Before, d.Steps...), "; ")); err != nil {
			return err
		}
	}
	return nil
}
