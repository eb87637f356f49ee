package bid

import (
	"sync"
	"sync/atomic"
	"time"
)

// How a Batcher adapts to a primary that is slower than what is asked of it.
const (
	// slow is what a statement should not take: far below what a client waits, so that no batch comes
	// near the limit of its time, and its bids are not stored after their client was told otherwise.
	slow = 600 * time.Millisecond
	// quick is when a full statement may grow again.
	quick = 250 * time.Millisecond
	// fewest is the least that the size of a statement is reduced to. The queue is never reduced below one statement of the
	// configured size: while most requests are refused, a lane seldom gets the processor, so each turn must be able
	// to carry a full statement.
	fewest = 16
	// queueing is how long the last bid in the queue should wait.
	queueing = 400 * time.Millisecond
	// period is how long completions are counted before they make a rate.
	period = 100 * time.Millisecond
)

// pressure knows how many bids a statement may hold and how many may wait for one. While nothing waits
// the limits are those of the configuration. Time is an argument.
type pressure struct {
	most  Limits
	batch atomic.Int64
	queue atomic.Int64

	mu    sync.Mutex
	since time.Time // start of the period; zero: the primary keeps up
	done  int       // bids completed since
}

func newPressure(l Limits) *pressure {
	p := &pressure{most: l}
	p.batch.Store(int64(l.Batch))
	p.queue.Store(int64(l.Queue))
	return p
}

// ended notes that a statement of n bids took that long, and that so many bids wait at the time now.
// A failed one completed none. Failing quickly says nothing about its size.
func (p *pressure) ended(n int, took time.Duration, failed bool, waiting int, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := p.batch.Load()
	switch {
	case took > slow:
		limit = int64(n) / 2
	case took < quick && int64(n) >= limit:
		limit *= 2
	}
	p.batch.Store(min(max(limit, fewest), int64(p.most.Batch)))
	if !failed {
		p.done += n
	}
	p.admit(waiting, now)
}

// admit sets the queue's limit to what is completed in the time that a bid should wait.
func (p *pressure) admit(waiting int, now time.Time) {
	if waiting == 0 { // it keeps up
		p.since, p.done = time.Time{}, 0
		p.queue.Store(int64(p.most.Queue))
		return
	}
	if p.since.IsZero() {
		p.since, p.done = now, 0
		return
	}
	if elapsed := now.Sub(p.since); elapsed >= period {
		limit := int64(float64(p.done) / elapsed.Seconds() * queueing.Seconds())
		p.queue.Store(min(max(limit, int64(p.most.Batch)), int64(p.most.Queue)))
		p.since, p.done = now, 0
	}
}
