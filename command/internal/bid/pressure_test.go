package bid

import (
	"testing"
	"time"
)

// W4: statements shrink when they are slow, and grow again when full ones are quick.
func TestStatementsAdapt_W4(t *testing.T) {
	p := newPressure(Limits{Batch: 512, Queue: 2048})
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		n      int
		took   time.Duration
		failed bool
		want   int64
	}{
		{512, 10 * time.Millisecond, false, 512}, // never above the configuration
		{512, 700 * time.Millisecond, false, 256},
		{256, 400 * time.Millisecond, false, 256}, // neither slow nor quick
		{256, 50 * time.Millisecond, false, 512},
		{512, 2 * time.Second, true, 256},
		{20, 50 * time.Millisecond, false, 256}, // quick, but not full, so it shows nothing
		{20, 2 * time.Second, true, fewest},     // never below the least
		{fewest, time.Millisecond, false, 2 * fewest},
	} {
		p.ended(step.n, step.took, step.failed, 0, now)
		if got := p.batch.Load(); got != step.want {
			t.Errorf("step %d %+v: limit %d", i, step, got)
		}
	}
}

// W4: as many bids may wait as the primary completes in 400 ms, and a whole queue while it keeps up.
func TestTheQueueAdapts_W4(t *testing.T) {
	p := newPressure(Limits{Batch: 100, Queue: 2048})
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	for i, step := range []struct {
		n, waiting, ms int
		failed         bool
		want           int64
	}{
		{100, 50, 0, false, 2048},    // the first sign of pressure: no rate yet
		{100, 500, 50, false, 2048},  // half a period
		{100, 500, 100, false, 800},  // 200 in 100 ms are 2,000/s: 800 in 400 ms
		{50, 500, 200, false, 200},   // 500/s
		{100, 500, 300, true, 100},   // nothing completed, so the least
		{900, 500, 400, false, 2048}, // 9,000/s would be 3,600
		{10, 500, 500, false, 100},   // 100/s
		{10, 0, 510, false, 2048},    // nobody waits
	} {
		p.ended(step.n, time.Millisecond, step.failed, step.waiting, at(step.ms))
		if got := p.queue.Load(); got != step.want {
			t.Errorf("step %d %+v: limit %d", i, step, got)
		}
	}
}

// W4: the time in which no server took writes does not count as the primary's.
func TestAPauseChangesNoLimit_W4(t *testing.T) {
	p := newPressure(Limits{Batch: 100, Queue: 2048})
	at := func(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }
	p.ended(100, time.Millisecond, false, 500, at(0))
	p.paused(at(1400))
	p.ended(100, time.Millisecond, false, 1500, at(1450))
	if batch, queue := p.batch.Load(), p.queue.Load(); batch != 100 || queue != 2048 {
		t.Errorf("limits %d and %d", batch, queue)
	}
	p.ended(150, time.Millisecond, false, 1500, at(1500))
	if queue := p.queue.Load(); queue != 1000 { // 250 in 100 ms
		t.Errorf("limit %d", queue)
	}
}
