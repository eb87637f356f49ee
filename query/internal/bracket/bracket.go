// Package bracket reads Redis for many requests at once. Lookups that come together leave in one pipeline,
// which begins and ends with a read of one key, the mark: so one pair of marks proves what all the lookups
// between them have read, and one system call on either side carries them. A lookup that comes alone leaves
// at once.
package bracket

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

var (
	// ErrFull says that more lookups are waiting than may.
	ErrFull = errors.New("redis: too many lookups are waiting")
	// ErrBehindFailure says that the pipeline that a lookup was waiting for failed, so it was not sent.
	ErrBehindFailure = errors.New("redis: the lookups before it failed")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("redis: client closed")
)

// Options say how to reach Redis and how much is sent at once.
type Options struct {
	// Dial connects; it may take longer than Budget, and is not given up with the lookups that wait for it.
	Dial func(ctx context.Context) (net.Conn, error)
	// Username and Password are sent with AUTH if Password is not empty, DB with SELECT if it is not 0.
	Username, Password string
	DB                 int
	// Mark is the key that is read before and after the lookups.
	Mark string
	// Budget is what a pipeline may take, from the beginning of its sending.
	Budget time.Duration
	// Connections is how many pipelines are under way at once.
	Connections int
	// Batch is how many lookups a pipeline has at most, Queue how many wait for the next ones.
	Batch, Queue int
	// Rows is how many rows the lookups of a pipeline ask for at most, if it is not a single one.
	Rows int
}

// Client sends lookups. P is what a pair of marks proves; it is made once for each pipeline.
type Client[P any] struct {
	o        Options
	judge    func(before, after []byte) P
	mark     []byte // the command that reads it
	requests sync.Pool
	buffers  sync.Pool

	mu      sync.Mutex
	some    *sync.Cond
	waiting []*Request[P]
	closed  bool
	drivers sync.WaitGroup
}

// New makes a client that connects when the first lookup comes. judge gets the values of the mark, nil for
// one that isn't there, and must not keep them.
func New[P any](o Options, judge func(before, after []byte) P) *Client[P] {
	c := &Client[P]{o: o, judge: judge, mark: appendCommand(nil, "GET", o.Mark)}
	c.some = sync.NewCond(&c.mu)
	c.requests.New = func() any { return &Request[P]{client: c, done: make(chan struct{}, 1)} }
	c.buffers.New = func() any { return &buffer{} }
	for range o.Connections {
		c.drivers.Go(func() { c.drive(&conn{o: &c.o}) })
	}
	return c
}

// Close fails what waits and waits for what is under way.
func (c *Client[P]) Close() {
	c.mu.Lock()
	c.closed = true
	c.some.Broadcast()
	c.mu.Unlock()
	c.drivers.Wait()
}

// add puts a request into the line.
func (c *Client[P]) add(r *Request[P]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case len(c.waiting) >= c.o.Queue:
		return ErrFull
	}
	c.waiting = append(c.waiting, r)
	c.some.Signal()
	return nil
}

// take moves the next requests into batch; none: the client is closed.
func (c *Client[P]) take(batch []*Request[P]) []*Request[P] {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.waiting) == 0 && !c.closed {
		c.some.Wait()
	}
	if c.closed {
		return batch
	}
	n, rows := 0, 0
	for n < min(len(c.waiting), c.o.Batch) && (n == 0 || rows+c.waiting[n].rows <= c.o.Rows) {
		rows += c.waiting[n].rows
		n++
	}
	batch = append(batch, c.waiting[:n]...)
	c.waiting = c.waiting[:copy(c.waiting, c.waiting[n:])]
	if len(c.waiting) > 0 {
		c.some.Signal()
	}
	return batch
}

// drive sends one pipeline after the other on one connection.
func (c *Client[P]) drive(link *conn) {
	defer link.close()
	var batch []*Request[P]
	var out []byte
	for {
		if batch = c.take(batch[:0]); len(batch) == 0 {
			c.fail(ErrClosed)
			return
		}
		out = append(out[:0], c.mark...)
		for _, r := range batch {
			out = append(out, r.out...)
		}
		out = append(out, c.mark...)
		in := c.buffers.Get().(*buffer)
		err := link.exchange(out, in, c.ends(batch))
		if err == nil {
			err = c.deliver(batch, in)
		}
		if err == nil {
			continue
		}
		c.buffers.Put(in)
		for _, r := range batch {
			r.finish(err)
		}
		c.fail(ErrBehindFailure)
	}
}

// ends returns a function that finds the end of all replies in what has arrived, and notes where each
// request's are.
func (c *Client[P]) ends(batch []*Request[P]) func(b []byte) (bool, error) {
	var s scanner
	at, missing := -1, 1 // the request being read and how many replies it lacks; -1 and len(batch) are the marks
	return func(b []byte) (bool, error) {
		for at <= len(batch) {
			if missing > 0 {
				if done, err := s.reply(b); !done || err != nil {
					return false, err
				}
				missing--
				continue
			}
			if at >= 0 && at < len(batch) {
				batch[at].to = s.pos
			}
			if at, missing = at+1, 1; at < len(batch) {
				batch[at].from, missing = s.pos, batch[at].commands
			}
		}
		return true, nil
	}
}

// deliver judges the marks and hands every request its replies.
func (c *Client[P]) deliver(batch []*Request[P], in *buffer) error {
	before, after := Replies{rest: in.b}, Replies{rest: in.b[batch[len(batch)-1].to:]}
	first, second := before.Bytes(), after.Bytes()
	if err := errors.Join(before.err, after.err); err != nil {
		return err
	}
	proof := c.judge(first, second)
	in.users.Store(int32(len(batch)))
	for _, r := range batch {
		r.proof, r.in, r.Replies = proof, in, Replies{rest: in.b[r.from:r.to]}
		r.finish(nil)
	}
	return nil
}

// fail ends everything that waits.
func (c *Client[P]) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.waiting {
		r.finish(err)
	}
	c.waiting = c.waiting[:0]
}
