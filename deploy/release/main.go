// Command release builds the programs of the last release and prints their folder. `make upgrade-drill` uses it.
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
	dir, err := last.Build(ctx, "./command", "./query", "./replicator", "./sql", "./deploy/node", "./deploy/render")
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}
