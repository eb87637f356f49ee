package bracket

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"
)

// Request is the commands of one lookup and then their replies. It belongs to one goroutine and must be
// released.
type Request[P any] struct {
	Replies
	client   *Client[P]
	out      []byte
	commands int
	rows     int // that it asks for
	weight   int // when it was sent
	ctx      context.Context
	entered  time.Time
	proof    P
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

// The largest buffers that are used again, in bytes: of replies, of a pipeline's commands, and of a request's. One large
// lookup would keep its memory for ever otherwise.
const (
	largestKept    = 2 << 20
	largestOut     = 256 << 10
	largestRequest = 16 << 10
)

// Request returns an empty request.
func (c *Client[P]) Request() *Request[P] { return c.requests.Get().(*Request[P]) }

// Command adds a command.
func (r *Request[P]) Command(args ...string) {
	r.out = appendCommand(r.out, args...)
	r.commands++
}

// Rows says that the replies may hold so many more rows, or that their commands are as much work.
func (r *Request[P]) Rows(n int) { r.rows += n }

// Weight is about the work that the request is for Redis, in rows of a reply (0.1 us each).
func (r *Request[P]) Weight() int { return r.rows + 10*r.commands + len(r.out)/16 }

// Begin adds a command of n arguments, its name included; each must follow with Arg or Number.
func (r *Request[P]) Begin(n int) {
	r.out = appendHead(r.out, '*', n)
	r.commands++
}

// Arg adds an argument.
func (r *Request[P]) Arg(arg string) {
	r.out = append(append(appendHead(r.out, '$', len(arg)), arg...), '\r', '\n')
}

// Number adds a number as an argument.
func (r *Request[P]) Number(n int64) {
	var text [20]byte
	digits := strconv.AppendInt(text[:0], n, 10)
	r.out = append(append(appendHead(r.out, '$', len(digits)), digits...), '\r', '\n')
}

// Do sends the commands and waits for the replies, which are then read from r in their order. It takes at
// most the client's budget. The error is of the connection or of the marks, ErrFull, ErrExpired, or the end of ctx; an
// error that Redis answered to one of the commands comes when its reply is read.
func (r *Request[P]) Do(ctx context.Context) (P, error) {
	r.ctx = ctx
	if err := r.client.add(r); err != nil {
		return r.proof, err
	}
	<-r.done
	return r.proof, r.failure
}

func (r *Request[P]) finish(err error) {
	r.failure = err
	r.done <- struct{}{}
}

// Reset makes the request empty again. What was read of its replies is not valid any more.
func (r *Request[P]) Reset() {
	if r.in != nil && r.in.users.Add(-1) == 0 {
		r.client.keep(r.in)
	}
	var none P
	r.proof, r.in, r.failure, r.ctx, r.Replies = none, nil, nil, nil, Replies{}
	r.out, r.commands, r.rows = r.out[:0], 0, 0
}

// Release gives the request back.
func (r *Request[P]) Release() {
	r.Reset()
	if cap(r.out) > largestRequest {
		r.out = nil
	}
	r.client.requests.Put(r)
}
