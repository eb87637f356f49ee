package test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// BenchmarkVerify measures a comparison of 3,000,000 bids in 1,000 raffles, the largest with 95,000, beside an idle
// replicator. It reports rows of the primary a second (each row is in two sets of Redis), and for each row the
// processor time of Redis and of this process, which compares.
func BenchmarkVerify(b *testing.B) {
	const bids = 3_000_000
	s := newSystem(b, testenv.StartPostgres(b, testenv.OnDisk()))
	s.exec("DROP INDEX bids_newest, bids_highest, bids_user, bids_key") // no statement here uses these indexes
	s.exec(`INSERT INTO raffles (product_id, seller_id, starts_at, ends_at)
		SELECT 1, 1, '2026-01-01', '2036-01-01' FROM generate_series(11, 1000)`)
	// The number of bids of a raffle falls with the square root of its rank.
	s.exec(`INSERT INTO bids (raffle_id, user_id, size, price, created_at)
		SELECT 1 + floor(1000 * power(random(), 2))::int, 1 + i % 50, 250 + 5 * (i % 11), 1000 + i % 300000, timestamptz '2026-01-01' + i * interval '1 millisecond'
		FROM generate_series(1, $1::int) i`, bids)
	s.exec("VACUUM ANALYZE bids")
	s.replicate("VERIFY_INTERVAL=0")
	testenv.Eventually(b, 5*patience, "the read model", s.streaming)
	s.reached()
	var elapsed time.Duration
	cpu, redis := s.ownCPU(), s.redisCPU()
	for b.Loop() {
		began := time.Now()
		r := s.verify(verify.Options{})
		elapsed += time.Since(began)
		if r.Divergent != 0 || r.Rows != bids || r.Members != 2*bids {
			b.Fatalf("%+v", r)
		}
	}
	rows := float64(b.N) * bids
	b.ReportMetric(rows/elapsed.Seconds(), "rows/s")
	b.ReportMetric((s.ownCPU()-cpu)/rows*1e6, "verify-us/row")
	b.ReportMetric((s.redisCPU()-redis)/rows*1e6, "redis-us/row")
}

// ownCPU is the processor time of this process, in seconds.
func (s *system) ownCPU() float64 {
	var u syscall.Rusage
	s.must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// redisCPU is the processor time of Redis' main thread, in seconds.
func (s *system) redisCPU() float64 {
	s.t.Helper()
	var user, system float64
	for line := range strings.Lines(s.redis.Info(s.ctx, "cpu").Val()) {
		for name, v := range map[string]*float64{"used_cpu_user:": &user, "used_cpu_sys:": &system} {
			if text, ok := strings.CutPrefix(line, name); ok {
				_, err := fmt.Sscan(text, v)
				s.must(err)
			}
		}
	}
	return user + system
}
