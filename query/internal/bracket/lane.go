package bracket

import (
	"sync"
	"sync/atomic"
)

// lane is the requests of a kind that wait for its drivers.
type lane[P any] struct {
	bounds Lane
	quick  atomic.Bool // the last pipeline was

	mu      sync.Mutex
	some    *sync.Cond
	waiting []*Request[P]
	weight  int // of all waiting requests
	closed  bool
}

func newLane[P any](bounds Lane) *lane[P] {
	l := &lane[P]{bounds: bounds}
	l.some = sync.NewCond(&l.mu)
	return l
}

func (l *lane[P]) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.some.Broadcast()
}

func (l *lane[P]) add(r *Request[P]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return ErrClosed
	case l.weight+r.weight > l.bounds.Queue && len(l.waiting) > 0:
		return ErrFull
	}
	l.waiting = append(l.waiting, r)
	l.weight += r.weight
	l.some.Signal()
	return nil
}

// take waits for requests and moves as many into batch as a pipeline may carry. A request that is heavier than a pipeline
// is taken alone. After the end of the client, take returns an empty batch.
func (l *lane[P]) take(batch []*Request[P]) []*Request[P] {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 && !l.closed {
		l.some.Wait()
	}
	if l.closed {
		return batch
	}
	n, weight := 0, 0
	for n < len(l.waiting) && (n == 0 || weight+l.waiting[n].weight <= l.bounds.Pipeline) {
		weight += l.waiting[n].weight
		n++
	}
	batch = append(batch, l.waiting[:n]...)
	l.waiting = l.waiting[:copy(l.waiting, l.waiting[n:])]
	if l.weight -= weight; len(l.waiting) > 0 {
		l.some.Signal()
	}
	return batch
}

// fail ends everything that waits.
func (l *lane[P]) fail(err error) {
	l.mu.Lock()
	failed := append([]*Request[P](nil), l.waiting...)
	l.waiting, l.weight = l.waiting[:0], 0
	l.mu.Unlock()
	for _, r := range failed {
		r.finish(err)
	}
}
