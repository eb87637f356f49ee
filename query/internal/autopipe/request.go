package autopipe

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// Request is the commands of one lookup and then their replies. It belongs to one goroutine and must be
// released.
type Request[S any] struct {
	resp.Commands
	Replies  resp.Replies
	client   *Client[S]
	rows     int // that it asks for
	weight   int // when it was sent
	ctx      context.Context
	entered  time.Time
	snapshot S
	in       *buffer
	from, to int // of its replies in the buffer
	done     chan struct{}
	failure  error
}

// buffer holds the replies of one pipeline until all its requests are released.
type buffer struct {
	b     []byte
	users atomic.Int32
}

// The largest buffers that are used again, in bytes: of replies, of a pipeline's commands, and of a request's. Otherwise one
// large lookup would keep its memory for ever.
const (
	largestKept    = 2 << 20
	largestOut     = 256 << 10
	largestRequest = 16 << 10
)

// Request returns an empty request.
func (c *Client[S]) Request() *Request[S] { return c.requests.Get().(*Request[S]) }

// Rows says that the replies may hold so many more rows, or that their commands are as much work.
func (r *Request[S]) Rows(n int) { r.rows += n }

// Weight is about the work that the request is for Redis, in rows of a reply (0.1 us each).
func (r *Request[S]) Weight() int { return r.rows + 10*r.N + len(r.Wire)/16 }

// Do sends the commands and waits for the replies, which are then read from r in their order. It takes at
// most the client's budget. The error is of the connection, ErrFull, ErrExpired, ErrUnanswered, or the end of ctx; an
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

// Reset makes the request empty again. What was read of its replies is no longer valid.
func (r *Request[S]) Reset() {
	if r.in != nil && r.in.users.Add(-1) == 0 {
		r.client.reuse(r.in)
	}
	var none S
	r.snapshot, r.in, r.failure, r.ctx, r.Replies = none, nil, nil, nil, resp.Replies{}
	r.Commands.Reset()
	r.rows = 0
}

// Release gives the request back.
func (r *Request[S]) Release() {
	r.Reset()
	if cap(r.Wire) > largestRequest {
		r.Wire = nil
	}
	r.client.requests.Put(r)
}
