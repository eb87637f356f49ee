package bracket

import (
	"strconv"
	"sync/atomic"
)

// Request is the commands of one lookup and then their replies. It belongs to one goroutine and must be
// released.
type Request[P any] struct {
	Replies
	client   *Client[P]
	out      []byte
	commands int
	rows     int // that it asks for
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

// largestKept is the largest buffer that is used again, in bytes.
const largestKept = 4 << 20

// Request returns an empty request.
func (c *Client[P]) Request() *Request[P] { return c.requests.Get().(*Request[P]) }

// Command adds a command.
func (r *Request[P]) Command(args ...string) {
	r.out = appendCommand(r.out, args...)
	r.commands++
}

// Rows says how many rows the replies may hold: a pipeline takes up to so many of all its requests.
func (r *Request[P]) Rows(n int) { r.rows = n }

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
// most the time of the pipelines before it and the budget of its own. The error is of the connection or
// of the marks; an error that Redis answered to one of the commands comes when its reply is read.
func (r *Request[P]) Do() (P, error) {
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
	if r.in != nil && r.in.users.Add(-1) == 0 && cap(r.in.b) <= largestKept {
		r.client.buffers.Put(r.in)
	}
	var none P
	r.proof, r.in, r.failure, r.Replies = none, nil, nil, Replies{}
	r.out, r.commands, r.rows = r.out[:0], 0, 0
}

// Release gives the request back.
func (r *Request[P]) Release() {
	r.Reset()
	r.client.requests.Put(r)
}
