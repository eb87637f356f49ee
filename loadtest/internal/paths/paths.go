// Package paths compares the ways that a read can take: Redis, the replica through pgpool-II, the standby
// directly, the primary, and an un-indexed scan. Each path is forced by the header Read-Path, on the same keys
// at the same rate, in blocks that take turns, so that other work on the machine affects all paths alike.
//
// A warm key was read through the same path before. A cold one is read for the first time in this run;
// every path has cold keys of its own, since two paths may lead to one server. Such paths share the upper pages of
// an index, so the cold keys are read in blocks that take turns, too. Caches of the operating system are left as they
// are, so "cold" says no more than that.
package paths

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// All are the paths in the order of display. Scan is measured with few requests.
var All = []string{"redis", "replica", "standby", "primary", Scan}

// Scan is the path that reads without an index.
const Scan = "scan"

// base is the path that ratios are relative to.
const base = "redis"

// Config says what to compare, how often and how fast.
type Config struct {
	URL   string
	Addr  string // host:port of the URL
	TLS   bool
	Paths []string
	// Rate is the number of lookups of a raffle's bids per second; a size over all raffles, which is
	// forty times as long, is looked up SizeRate times.
	Rate, SizeRate float64
	Blocks         int
	Block          time.Duration
	// Warm is the number of warm keys, Cold that of cold ones for each path.
	Warm, Cold int
	// Scans is how many requests take the path Scan in all blocks together, one after the other.
	Scans int
	// Size is the one to look up over all raffles, in mm.
	Size int
	Seed uint64
	// Databases are the URLs of the nodes by path, for EXPLAIN; without one there is no plan.
	Databases map[string]string
	// Processes are the ids of the system's processes on this machine, by name.
	Processes map[string]int
	Notes     io.Writer
}

// Check reports everything that is wrong.
func (c Config) Check() error {
	var errs []error
	for i, p := range c.Paths {
		if !slices.Contains(All, p) || slices.Contains(c.Paths[:i], p) {
			errs = append(errs, fmt.Errorf("there is no path %q, or it comes twice: want some of %q", p, All))
		}
	}
	if len(c.Paths) == 0 {
		errs = append(errs, errors.New("name at least one path"))
	}
	if c.Rate <= 0 || c.SizeRate <= 0 || c.Block <= 0 {
		errs = append(errs, errors.New("rates and the length of a block must be positive"))
	}
	if c.Blocks < 1 || c.Warm < 1 || c.Cold < 0 || c.Scans < 1 {
		errs = append(errs, errors.New("there must be at least one block, one warm key and one scan"))
	}
	return errors.Join(errs...)
}

// lookup is one kind of read: its keys, and the statement with which the services do the same read from SQL.
type lookup struct {
	name       string
	rate       float64
	warm       []key
	cold       map[string][]key // by path
	target     func(key) string
	statement  string
	parameters func(key) string
}

// Run makes all comparisons. When ctx ends it returns what it has, with the reason in the verdict. Its time is that of the
// blocks alone.
func Run(ctx context.Context, c Config) (*report.Run, error) {
	run := &report.Run{Version: report.Version, Name: "paths", Level: "paths", Started: time.Now(), Seed: c.Seed, Config: c.fields(),
		Purpose: "What a read costs on each path, that all give the same bytes, and what an index and the read model save."}
	r := &runner{Config: c, run: run, door: frontdoor.New(c.URL, 1), used: make(map[string]time.Duration)}
	defer r.door.Close()
	keys, err := r.keys(ctx)
	if err != nil {
		return nil, err
	}
	for _, l := range []lookup{c.ofRaffle(keys), c.ofSize()} {
		if err := r.compare(ctx, l); err != nil {
			run.Verdict.Failed = append(run.Verdict.Failed, fmt.Sprintf("%s: %v", l.name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.used)) {
		run.CPU = append(run.CPU, report.ProcessCPU{Name: name, CPU: r.used[name]})
	}
	return run, nil
}

func (c Config) ofRaffle(keys []key) lookup {
	l := lookup{name: "newest 50 bids of a size of a raffle", rate: c.Rate, cold: make(map[string][]key), statement: "BidsNewest",
		target:     func(k key) string { return fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=50", k.raffle, k.size) },
		parameters: func(k key) string { return fmt.Sprintf("%d, %d, %s", k.raffle, k.size, firstPage(50)) }}
	l.warm, keys = keys[:min(c.Warm, len(keys))], keys[min(c.Warm, len(keys)):]
	for _, p := range c.Paths {
		if p == Scan {
			continue // it uses no index, so no cached part of an index helps it, and reads the whole table each time
		}
		n := min(c.Cold, len(keys))
		l.cold[p], keys = keys[:n], keys[n:]
	}
	return l
}

// ofSize is the experiment of the original: the newest 2,000 bids of one size, of all raffles.
func (c Config) ofSize() lookup {
	return lookup{name: fmt.Sprintf("newest 2,000 bids of size %d over all raffles", c.Size), rate: c.SizeRate,
		warm: []key{{size: c.Size}}, statement: "BidsOfSize",
		target:     func(k key) string { return fmt.Sprintf("/v1/bids?size=%d&limit=2000", k.size) },
		parameters: func(k key) string { return fmt.Sprintf("%d, %s", k.size, firstPage(2000)) }}
}

// key is what is looked up; raffle 0 stands for all.
type key struct {
	raffle int64
	size   int
}

// keys are all raffles with all sizes, shuffled.
func (r *runner) keys(ctx context.Context) ([]key, error) {
	raffles, err := frontdoor.Raffles(ctx, r.door, client.All)
	if err != nil {
		return nil, err
	}
	r.run.Environment = append(r.run.Environment, report.Field{Name: "raffles", Value: fmt.Sprint(len(raffles))})
	keys := make([]key, 0, len(raffles)*dataset.SizeCount)
	for _, id := range raffles {
		for i := range dataset.SizeCount {
			keys = append(keys, key{id, dataset.SmallestSize + dataset.SizeStep*i})
		}
	}
	random := rand.New(rand.NewPCG(r.Seed, 0))
	random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys, nil
}

func (c Config) fields() []report.Field {
	return []report.Field{
		{Name: "URL", Value: c.URL},
		{Name: "paths", Value: strings.Join(c.Paths, ", ")},
		{Name: "rate", Value: fmt.Sprintf("%g/s, %g/s over all raffles", c.Rate, c.SizeRate)},
		{Name: "blocks", Value: fmt.Sprintf("%d of %v for each path, by turns", c.Blocks, c.Block)},
		{Name: "keys", Value: fmt.Sprintf("%d warm for all paths, %d cold for each", c.Warm, c.Cold)},
		{Name: "warm", Value: "read through the same path before"},
		{Name: "cold", Value: "read for the first time in this run, in as many blocks by turns; no cache was emptied"},
		{Name: "scan", Value: fmt.Sprintf("%d requests, one after the other", c.Scans)},
	}
}
