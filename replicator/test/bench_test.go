package test

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// BenchmarkDrain measures how fast a new replicator applies a backlog of 300,000 bids in transactions of 1,000.
func BenchmarkDrain(b *testing.B) {
	for range b.N {
		s := newSystem(b, testenv.NewDatabase(b))
		s.replicate()
		s.bids(1)
		s.reached()
		s.Kill(b)
		const transactions = 300
		for range transactions {
			s.bids(1000)
		}
		begun := time.Now()
		s.Start(b)
		s.reached()
		took := time.Since(begun).Seconds()
		b.ReportMetric(transactions*1000/took, "rows/s")
		b.ReportMetric(cpuSeconds(b, s.PID())/took, "replicator-cores")
		info := s.redis.Info(s.ctx, "cpu").Val()
		b.Logf("%.2f s, replicator %.2f s of CPU; redis: %s", took, cpuSeconds(b, s.PID()), strings.Join(strings.Fields(info), " "))
	}
}

// BenchmarkRebuild measures a rebuild of 300,000 bids.
func BenchmarkRebuild(b *testing.B) {
	s := newSystem(b, testenv.NewDatabase(b))
	s.bids(300_000)
	s.exec("ANALYZE")
	s.replicate()
	s.reached()
	begun := time.Now()
	for b.Loop() {
		before, err := s.checkpoint()
		s.must(err)
		s.must(s.redis.FlushAll(s.ctx).Err())
		testenv.Eventually(b, patience, "the next epoch", func() bool {
			c, err := s.checkpoint()
			return err == nil && c.Epoch > before.Epoch
		})
	}
	b.ReportMetric(float64(b.N)*300_000/time.Since(begun).Seconds(), "rows/s")
}

// cpuSeconds returns the user and system time of a process (proc(5)), which is in ticks of 10 ms.
func cpuSeconds(b *testing.B, pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var user, system float64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		b.Fatal(err)
	}
	return (user + system) / 100
}

// BenchmarkFreshness measures the time from the end of a commit until the checkpoint has reached its Commit-LSN.
func BenchmarkFreshness(b *testing.B) {
	s := newSystem(b, testenv.NewDatabase(b))
	s.replicate()
	s.bids(1)
	s.reached()
	var took []time.Duration
	for b.Loop() {
		s.bids(1)
		begun := time.Now()
		token := s.lsn()
		for {
			text, err := s.redis.Get(s.ctx, readmodel.CheckpointKey).Result()
			s.must(err)
			c, err := readmodel.ParseCheckpoint(text)
			s.must(err)
			if c.LSN >= token {
				break
			}
		}
		took = append(took, time.Since(begun))
	}
	sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
	for _, p := range []int{50, 99} {
		b.ReportMetric(float64(took[len(took)*p/100].Microseconds()), fmt.Sprintf("p%d-us", p))
	}
}
