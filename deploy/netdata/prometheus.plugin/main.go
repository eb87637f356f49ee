// Command prometheus.plugin is a plugin of netdata: it asks programs for their figures in Prometheus' text format and makes
// charts of them. Debian's netdata has no collector for this format. netdata starts it with the seconds from one collection to
// the next, and reads charts and values on its standard output
// (https://learn.netdata.cloud/docs/agent/collectors/plugins.d).
// The file prometheus.conf in the folder NETDATA_USER_CONFIG_DIR has a line for each target: the name of its charts, and a URL.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/version"
)

func main() {
	if version.Print(os.Stdout, "prometheus.plugin", os.Args[1:]) {
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "prometheus.plugin:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	seconds := 1
	if len(args) > 0 {
		var err error
		if seconds, err = strconv.Atoi(args[0]); err != nil || seconds < 1 || len(args) > 1 {
			return errors.New("usage: prometheus.plugin [SECONDS]")
		}
	}
	file, err := os.Open(filepath.Join(os.Getenv("NETDATA_USER_CONFIG_DIR"), "prometheus.conf"))
	if err != nil {
		return err
	}
	targets, err := readTargets(bufio.NewScanner(file))
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	c := collector{every: time.Duration(seconds) * time.Second, targets: targets, out: bufio.NewWriter(os.Stdout)}
	return c.collectUntil(ctx)
}

// target is a program with figures. Its charts remember what netdata has been told.
type target struct {
	name, url string
	charts    charts
	silent    bool // it did not answer the last time
}

func readTargets(lines *bufio.Scanner) (list []*target, err error) {
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		case len(fields) != 2:
			return nil, fmt.Errorf("%q is not NAME URL", lines.Text())
		default:
			list = append(list, &target{name: fields[0], url: fields[1], charts: charts{}})
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("there are no targets")
	}
	return list, nil
}

type collector struct {
	every   time.Duration
	targets []*target
	client  http.Client
	out     *bufio.Writer
}

// collectUntil ends with the context, or when netdata reads no more.
func (c *collector) collectUntil(ctx context.Context) error {
	tick := time.NewTicker(c.every)
	defer tick.Stop()
	for {
		if err := c.collect(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// collect asks all targets at once. A target that does not answer in time has no values in this round.
func (c *collector) collect(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, c.every*4/5)
	defer cancel()
	answers, errs := make([][]reading, len(c.targets)), make([]error, len(c.targets))
	var all sync.WaitGroup
	for i, t := range c.targets {
		all.Go(func() { answers[i], errs[i] = scrape(asking, &c.client, t.url) })
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil
	}
	for i, t := range c.targets {
		if silent := errs[i] != nil; silent != t.silent {
			t.silent = silent
			slog.Info("prometheus.plugin", "target", t.name, "answers", !silent, "error", errs[i])
		}
		if errs[i] == nil {
			t.charts.write(c.out, t.name, c.every, answers[i])
		}
	}
	return c.out.Flush()
}
