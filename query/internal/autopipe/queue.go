package autopipe

import (
	"sync"
	"sync/atomic"
)

// queue holds the light or the heavy requests that wait for a worker.
type queue[S any] struct {
	limits Limits
	quick  atomic.Bool // the last pipeline took less than half a budget
	failed atomic.Bool // the last pipeline failed

	mu      sync.Mutex
	some    *sync.Cond
	waiting []*Request[S]
	weight  int // of all waiting requests
	closed  bool
}

func newQueue[S any](limits Limits) *queue[S] {
	q := &queue[S]{limits: limits}
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
	switch {
	case q.closed:
		return ErrClosed
	case q.weight+r.weight > q.limits.Waiting && len(q.waiting) > 0:
		return ErrFull
	}
	q.waiting = append(q.waiting, r)
	q.weight += r.weight
	q.some.Signal()
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
	for n < len(q.waiting) && (n == 0 || weight+q.waiting[n].weight <= q.limits.Pipeline) {
		weight += q.waiting[n].weight
		n++
	}
	batch = append(batch, q.waiting[:n]...)
	q.waiting = q.waiting[:copy(q.waiting, q.waiting[n:])]
	if q.weight -= weight; len(q.waiting) > 0 {
		q.some.Signal()
	}
	return batch
}

// fail ends all waiting requests.
func (q *queue[S]) fail(err error) {
	q.mu.Lock()
	failed := append([]*Request[S](nil), q.waiting...)
	q.waiting, q.weight = q.waiting[:0], 0
	q.mu.Unlock()
	for _, r := range failed {
		r.finish(err)
	}
}
