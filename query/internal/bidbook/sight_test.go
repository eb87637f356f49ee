package bidbook

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// The rate and the percentile are those of the last seconds: what was counted before does not matter.
func TestReadsOfTheLastSeconds(t *testing.T) {
	m := newMetrics(prometheus.NewRegistry())
	w := &watched{}
	for range 1000 {
		m.observe(PathRedis, 400*time.Millisecond, nil)
	}
	w.count(m.answered[PathRedis])
	if rate, p99 := w.count(m.answered[PathRedis]); rate != 0 || p99 != 0 {
		t.Errorf("without reads: %v/s, p99 %v", rate, p99)
	}
	for i := range 100 {
		took := time.Millisecond * 3 / 4
		if i < 2 {
			took = 20 * time.Millisecond
		}
		m.observe(PathRedis, took, nil)
	}
	m.observe(PathRedis, time.Second, ErrBehind) // did not answer
	w.counts[0].at = time.Now().Add(-10 * time.Second)
	rate, p99 := w.count(m.answered[PathRedis])
	if rate < 9.9 || rate > 10.1 || p99 != 25*time.Millisecond {
		t.Errorf("%v/s, p99 %v, want 10/s and the bound 25ms", rate, p99)
	}
}
