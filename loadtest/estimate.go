package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/progress"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/seed"
)

const (
	// tenfold is the scale that is planned and not loaded: ten times the full data set's bids.
	tenfold = 10
	// sampleBids is how many bids are loaded, and rolled back, to see what one bid costs.
	sampleBids = 1_000_000
)

// The read model's budget, in bytes per bid: in sets that are small enough to be packed, and in larger ones.
const (
	packedBytes = 100
	largeBytes  = 280
)

// planTenfold prints what ten times the full data set would take here.
func planTenfold(ctx context.Context, cfg seedConfig, redisBytes string, out, notes io.Writer) error {
	scale := dataset.Full
	scale.Bids = min(cfg.scale.Bids, sampleBids)
	set, err := dataset.New(scale, cfg.seed)
	if err != nil {
		return err
	}
	p := progress.New(notes, time.Now)
	e, err := seed.Measure(ctx, cfg.url, set, cfg.at, p.Update)
	p.End()
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, tenfoldPlan(e, redisBytes))
	return err
}

// tenfoldPlan multiplies the costs of the sample. redisBytes is what Redis holds for each bid in place, "" if
// that is not known.
func tenfoldPlan(e seed.Estimate, redisBytes string) string {
	bids := tenfold * dataset.Full.Bids
	times := float64(bids) / float64(max(e.Sample, 1))
	per := func(n int64) float64 { return float64(n) / float64(max(e.Sample, 1)) }
	var b strings.Builder
	fmt.Fprintf(&b, "Nothing was loaded. From a sample of %s bids, rolled back, %s bids would take:\n\n", progress.Grouped(e.Sample), progress.Grouped(bids))
	row := func(name string, bytes int64) {
		fmt.Fprintf(&b, "  %-44s %7.1f bytes per bid %8.1f GB\n", name, per(bytes), float64(bytes)*times/1e9)
	}
	for _, p := range e.Bytes {
		row(p.Name, p.Bytes)
	}
	row("PostgreSQL, each of two nodes", e.TotalBytes())
	row("write-ahead log of the load", e.WAL)
	fmt.Fprintf(&b, "  %-44s %6.0f s rows, %.0f s indexes\n\n", "time, if it grows with the bids",
		e.Copy.Seconds()*times, e.Build.Seconds()*times)
	fmt.Fprintf(&b, "Rows are as loaded, without idempotency keys. Redis: %s\n", redisPlan(bids, redisBytes))
	return b.String()
}

func redisPlan(bids int64, measured string) string {
	gb := func(perBid float64) float64 { return perBid * float64(bids) / 1e9 }
	if perBid, err := strconv.ParseFloat(measured, 64); err == nil && perBid > 0 {
		return fmt.Sprintf("%.0f bytes per bid in place, so %.0f GB; sets grow with the bids, and large ones take up to %d bytes per bid (%.0f GB).",
			perBid, gb(perBid), largeBytes, gb(largeBytes))
	}
	return fmt.Sprintf("%.0f GB in packed sets to %.0f GB in large ones (the budget: %d and %d bytes per bid).",
		gb(packedBytes), gb(largeBytes), packedBytes, largeBytes)
}
