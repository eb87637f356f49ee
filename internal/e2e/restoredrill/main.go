// Command restoredrill restores for real: a running system to an earlier moment, Redis alone to an old file, and a new system
// from the backups alone. It starts stacks of deploy/local on ports of its own, bids, and compares what every path answers
// with what must be there. It exits with 1 if a bid is missing, or if a bid of the lost history is back.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	dir := flag.String("dir", ".local/restore-drill", "`folder` for the stacks; it must not be there")
	port := flag.Int("port", 27000, "the first `port` of the stacks, which need two hundred")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *dir, *port)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
	fmt.Println("every restore ended where it had to: no bid was missing, and none that was given up came back")
}

func run(ctx context.Context, dir string, port int) (err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s is there already", dir)
	}
	first, second := newStack(filepath.Join(dir, "first"), port), newStack(filepath.Join(dir, "second"), port)
	// Also if the context has ended.
	defer func() { err = tearDown(context.WithoutCancel(ctx), err, dir, first, second) }()
	d := &drill{stack: first, began: time.Now()}
	if err := d.up(ctx); err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"the same system, to a moment after a failover", d.sameSystem},
		{"Redis alone", d.redisAlone},
		{"a new system", func(ctx context.Context) error { return d.newSystem(ctx, second) }},
	} {
		d.say("== %s", part.name)
		if err := part.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// tearDown leaves the folder of a failed drill, for its logs.
func tearDown(ctx context.Context, err error, dir string, stacks ...*stack) error {
	for _, s := range stacks {
		if _, statErr := os.Stat(s.dir); statErr != nil {
			continue
		}
		if downErr := s.script(ctx, "down"); downErr != nil {
			return fmt.Errorf("%w (drill: %w)", downErr, err)
		}
	}
	if err != nil {
		return fmt.Errorf("%w; the logs are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}
