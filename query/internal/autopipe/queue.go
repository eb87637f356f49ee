package autopipe

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"
)

// queue holds the light or the heavy requests that wait for a worker.
type queue[S any] struct {
	limits Limits
	slow   atomic.Bool // see Options.Budget
	failed atomic.Bool // the last pipeline failed

	mu      sync.Mutex
	some    *sync.Cond
	waiting []*Request[S]
	weight  int                    // of all waiting requests and their twins
	first   map[uint64]*Request[S] // the shared ones among them, by their sums
	closed  bool
	lateAt  time.Time // the end of the last pipeline if that took long, otherwise zero
}

func newQueue[S any](limits Limits) *queue[S] {
	q := &queue[S]{limits: limits, first: map[uint64]*Request[S]{}}
	q.some = sync.NewCond(&q.mu)
	return q
}

func (q *queue[S]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}

func (q *queue[S]) add(r *Request[S]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	twin, weight := q.twin(r), r.weight
	if twin != nil {
		weight = twinWeight
	}
	switch {
	case q.closed:
		return ErrClosed
	case q.weight+weight > q.limits.Waiting && len(q.waiting) > 0:
		return ErrFull
	}
	q.weight += weight
	if twin != nil {
		twin.twins = append(twin.twins, r)
		return nil
	}
	if r.shared {
		q.first[r.sum] = r
	}
	q.waiting = append(q.waiting, r)
	q.some.Signal()
	return nil
}

// twin returns the request that waits and that r can be sent as one with, or nil.
func (q *queue[S]) twin(r *Request[S]) *Request[S] {
	if !r.shared {
		return nil
	}
	if first := q.first[r.sum]; first != nil && bytes.Equal(first.Wire, r.Wire) {
		return first
	}
	return nil
}

// next waits for requests and moves as many into batch as a pipeline may carry. A request that is heavier than a pipeline
// is taken alone. Once the client is closed, next returns an empty batch.
func (q *queue[S]) next(batch []*Request[S]) []*Request[S] {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.waiting) == 0 && !q.closed {
		q.some.Wait()
	}
	if q.closed {
		return batch
	}
	n, weight := 0, 0
	for n < len(q.waiting) && (n == 0 || weight+q.waiting[n].load() <= q.limits.Pipeline) {
		weight += q.waiting[n].load()
		if r := q.waiting[n]; r.shared && q.first[r.sum] == r {
			delete(q.first, r.sum)
		}
		n++
	}
	batch = append(batch, q.waiting[:n]...)
	q.waiting = q.waiting[:copy(q.waiting, q.waiting[n:])]
	if q.weight -= weight; len(q.waiting) > 0 {
		q.some.Signal()
	}
	return batch
}

// note keeps how a pipeline went. One that took long does not show that Redis is slow, nor do two at the same time: this
// process may have been held up. One that was begun after the end of such a one does.
func (q *queue[S]) note(err error, begun, ended time.Time, long time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	late := ended.Sub(begun) >= long
	q.slow.Store(err != nil || late && !q.lateAt.IsZero() && begun.After(q.lateAt))
	q.failed.Store(err != nil)
	if q.lateAt = (time.Time{}); late {
		q.lateAt = ended
	}
}

// fail ends all waiting requests.
func (q *queue[S]) fail(err error) {
	q.mu.Lock()
	failed := append([]*Request[S](nil), q.waiting...)
	q.waiting, q.weight = q.waiting[:0], 0
	clear(q.first)
	q.mu.Unlock()
	for _, r := range failed {
		r.fail(err)
	}
}
