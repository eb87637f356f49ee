package main

import (
	"log/slog"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// BenchmarkLookup is one page of 50 bids on each path, one at a time, without HTTP.
func BenchmarkLookup(b *testing.B) {
	s := startStack(b)
	back, err := openBackends(s.config(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = back.trust.Watch(b.Context()) }()
	after := &bidbook.Keyset{At: time.Now().Add(-time.Hour).UnixMicro(), ID: 1500, Price: 150_000}
	for _, c := range []struct {
		name string
		q    bidbook.BidsQuery
	}{
		{"newest", bidbook.BidsQuery{RaffleID: bidRaffle, Size: 270, Order: bidbook.Newest, Limit: 50}},
		{"newest_continued", bidbook.BidsQuery{RaffleID: bidRaffle, Size: 270, Order: bidbook.Newest, Limit: 50, After: after}},
		{"highest_continued", bidbook.BidsQuery{RaffleID: bidRaffle, Size: 270, Order: bidbook.Highest, Limit: 50, After: after}},
		{"newest_2000", bidbook.BidsQuery{RaffleID: bidRaffle, Size: 270, Order: bidbook.Newest, Limit: 2000}},
	} {
		for _, path := range allPaths {
			want := bidbook.Want{Force: bidbook.Path(path)}
			testenv.EventuallyNoError(b, patience, path+" answers", func() error {
				_, _, err := back.chain.Bids(b.Context(), c.q, want)
				return err
			})
			b.Run(c.name+"/"+path, func(b *testing.B) {
				var took []time.Duration
				for b.Loop() {
					start := time.Now()
					if _, _, err := back.chain.Bids(b.Context(), c.q, want); err != nil {
						b.Fatal(err)
					}
					took = append(took, time.Since(start))
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
				b.ReportAllocs()
			})
		}
	}
	if err := back.close(); err != nil {
		b.Error(err)
	}
}

// BenchmarkLookupsAtOnce is one page of 50 bids on each path, for 64 clients at once, without HTTP. The machine's cores
// are busy, so a lookup's share of the time is its cost on all servers together.
func BenchmarkLookupsAtOnce(b *testing.B) {
	s := startStack(b)
	back, err := openBackends(s.config(), slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = back.trust.Watch(b.Context()) }()
	q := bidbook.BidsQuery{RaffleID: bidRaffle, Size: 270, Order: bidbook.Highest, Limit: 50}
	for _, path := range []bidbook.Path{bidbook.PathRedis, bidbook.PathReplica, bidbook.PathStandby} {
		want := bidbook.Want{Force: path}
		testenv.EventuallyNoError(b, patience, string(path)+" answers", func() error {
			_, _, err := back.chain.Bids(b.Context(), q, want)
			return err
		})
		b.Run(string(path), func(b *testing.B) {
			var failed atomic.Int32
			b.SetParallelism(64 / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, _, err := back.chain.Bids(b.Context(), q, want); err != nil {
						failed.Add(1)
					}
				}
			})
			if n := failed.Load(); n > 16 { // the first logins take their time
				b.Errorf("%d lookups failed", n)
			}
		})
	}
	if err := back.close(); err != nil {
		b.Error(err)
	}
}
