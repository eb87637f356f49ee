// Command release builds programs of the last release and prints their folder: the packages of its arguments, such as
// ./query, or all that `ctl build` needs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/stock-pyramid/stock-pyramid/internal/release"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	last, err := release.Last(ctx)
	if err != nil {
		return err
	}
	packages := os.Args[1:]
	if len(packages) == 0 {
		packages = []string{"./command", "./query", "./replicator", "./sql", "./deploy/node", "./deploy/render"}
	}
	dir, err := last.Build(ctx, packages...)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}
