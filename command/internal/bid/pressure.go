package bid

import (
	"sync"
	"sync/atomic"
	"time"
)

// How a Batcher adapts to a primary that is too slow for the bids that come.
const (
	// slow is the time of a statement above which the next ones get smaller. It is far below what a client waits, so
	// that no batch comes near its time limit and no bid is stored after its client was told otherwise.
	slow = 600 * time.Millisecond
	// quick is the time of a full statement below which the next ones may grow again.
	quick = 250 * time.Millisecond
	// fewest is the smallest limit of bids in a statement. The queue's limit is never below one statement of the
	// configured size, because while most requests are refused a lane seldom gets the processor, so each of its turns
	// must be able to send a full statement.
	fewest = 16
	// queueing is how long the last bid in the queue should wait.
	queueing = 400 * time.Millisecond
	// period is how long completions are counted to compute a rate.
	period = 100 * time.Millisecond
)

// pressure adapts how many bids a statement may hold (batch) and how many may wait for one (queue). While nothing
// waits, queue is the configured limit. Time is an argument.
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

// ended notes that a statement of n bids took so long, and how many bids wait at the time now. A failed statement
// completed no bid. The size limit depends on the time of a statement only, not on its failure.
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

// paused notes that no server took writes for a while. The limits stay, and the rate is measured anew.
func (p *pressure) paused(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.done = now, 0
}

// admit sets the queue's limit to the number of bids that the primary completes in the time queueing.
func (p *pressure) admit(waiting int, now time.Time) {
	if waiting == 0 { // the primary keeps up
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
