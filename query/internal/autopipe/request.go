package autopipe

import (
	"context"
	"iter"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// Request holds the commands of one lookup, and after Do their replies. It belongs to one goroutine and must be
// released.
type Request[S any] struct {
	resp.Commands
	Replies  resp.Replies
	client   *Client[S]
	rows     int // see Rows
	weight   int // when it entered the queue
	shared   bool
	sum      uint64        // of the commands of a shared request
	twins    []*Request[S] // equal requests that get the same replies
	ctx      context.Context
	entered  time.Time
	snapshot S
	in       *buffer
	from, to int // where its replies begin and end in the buffer
	done     chan struct{}
	failure  error
}

// buffer holds the replies of one pipeline until all its requests are released.
type buffer struct {
	b     []byte
	users atomic.Int32
}

// The largest buffers that are kept for another use, in bytes: for replies, for the commands of a pipeline, and for
// the commands of a request. Larger ones are freed, because otherwise one large lookup would keep its memory for
// ever.
const (
	largestKept    = 2 << 20
	largestOut     = 256 << 10
	largestRequest = 16 << 10
)

// Request returns an empty request.
func (c *Client[S]) Request() *Request[S] { return c.requests.Get().(*Request[S]) }

// Rows adds n to the request's weight, for rows that the replies may hold or for commands that are as much work.
func (r *Request[S]) Rows(n int) { r.rows += n }

// Weight estimates the request's work for Redis, in rows of a reply (0.1 us each).
func (r *Request[S]) Weight() int { return r.rows + 10*r.N + len(r.Wire)/16 }

// Share lets the request be sent as one with equal ones that wait at the same time, until Reset. All of them get the
// same replies.
func (r *Request[S]) Share() { r.shared = true }

// twinWeight is the weight of a request that is not sent itself. It bounds how many may wait.
const twinWeight = 10

// load is the weight of a request with its twins.
func (r *Request[S]) load() int { return r.weight + twinWeight*len(r.twins) }

// all are the request and its twins, which it then has no longer. Each may be finished.
func (r *Request[S]) all() iter.Seq[*Request[S]] {
	return func(yield func(*Request[S]) bool) {
		twins := r.twins
		r.twins = nil
		for i := -1; i < len(twins); i++ {
			one := r
			if i >= 0 {
				one = twins[i]
			}
			if !yield(one) {
				return
			}
		}
	}
}

// goOn ends those of a request and its twins that late has an error for. It returns the first of the others, which has the
// rest as its twins, or nil.
func (r *Request[S]) goOn(late func(*Request[S]) error) (first *Request[S]) {
	for one := range r.all() {
		switch err := late(one); {
		case err != nil:
			one.finish(err)
		case first == nil:
			first = one
		default:
			first.twins = append(first.twins, one)
		}
	}
	return first
}

// fail ends a request and its twins.
func (r *Request[S]) fail(err error) {
	for one := range r.all() {
		one.finish(err)
	}
}

// Do sends the commands and waits for the replies, which are then read from r in their order. It takes at most the
// client's budget, and HeldUp and half a budget if this process was held up. The end of ctx is noticed only until the
// request is sent. The error is the connection's, ErrFull, ErrExpired, ErrUnanswered, ErrClosed or that of ctx. An
// error that Redis answered to one of the commands comes when its reply is read.
func (r *Request[S]) Do(ctx context.Context) (S, error) {
	r.ctx = ctx
	if err := r.client.add(r); err != nil {
		return r.snapshot, err
	}
	<-r.done
	return r.snapshot, r.failure
}

func (r *Request[S]) finish(err error) {
	r.failure = err
	r.done <- struct{}{}
}

// Reset makes the request empty again. Bytes that were read from its replies are no longer valid.
func (r *Request[S]) Reset() {
	if r.in != nil && r.in.users.Add(-1) == 0 {
		r.client.reuse(r.in)
	}
	var none S
	r.snapshot, r.in, r.failure, r.ctx, r.Replies = none, nil, nil, nil, resp.Replies{}
	r.Commands.Reset()
	r.rows, r.shared = 0, false
}

// Release gives the request back to the client's pool.
func (r *Request[S]) Release() {
	r.Reset()
	if cap(r.Wire) > largestRequest {
		r.Wire = nil
	}
	r.client.requests.Put(r)
}
