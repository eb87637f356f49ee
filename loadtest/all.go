package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/cli"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/levels"
)

// demoSizes make each level end in well under a minute with the demo data. If a setting is not given here, the
// level's own default holds.
var demoSizes = []struct {
	level string
	args  []string
}{
	{"1", []string{"--duration", "5s"}},
	{"2", []string{"--duration", "5s"}},
	{"3", []string{"--duration", "10s"}},
	{"4", []string{"--vusers", "500", "--iterations", "40", "--ramp-up", "1s"}},
	{"5", []string{"--vusers", "300", "--duration", "10s"}},
	{"6", []string{"--vusers", "200", "--duration", "20s", "--ramp-up", "8s"}},
	{"7", []string{"--vusers", "500", "--duration", "12s"}},
}

// runAll runs all levels and the comparison of paths, one after the other, whatever each one's result.
func runAll(ctx context.Context, args []string, out, notes io.Writer) error {
	flags := cli.NewFlags("loadtest all", "usage: loadtest all [FLAGS]\n\nRuns all levels and the comparison of read paths, small enough for the demo data.\n")
	full := flags.Bool("full", false, "each level at its full size, for the full data set")
	seed := flags.String("seed", "1", "the same seed makes the same requests")
	if err := cli.Parse(flags, args, 0, out); err != nil {
		return err
	}
	start := time.Now()
	var failed []error
	for _, size := range demoSizes {
		one := []string{size.level, "--seed", *seed}
		if !*full {
			one = append(one, size.args...)
		}
		failed = append(failed, named("level "+size.level, runLevel(ctx, one, out, notes)))
		if ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
	failed = append(failed, named("paths", runPaths(ctx, []string{"--seed", *seed}, out, notes)))
	if err := errors.Join(failed...); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "all %d levels and the paths passed in %.0f s\n", len(levels.All), time.Since(start).Seconds())
	return err
}

func named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
