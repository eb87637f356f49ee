// Package bracket reads Redis for many requests at once. Lookups that come together leave in one pipeline,
// which begins and ends with a read of one key, the mark: so one pair of marks proves what all the lookups
// between them have read, and one system call on either side carries them. A lookup that comes alone leaves
// at once.
//
// Pipelines and queues are bounded by the weight of their lookups, an estimate of the work that they are for Redis. A
// lookup heavier than Options.Share goes in a lane with a connection of its own, so it delays no light one by more than
// one pipeline's work.
package bracket

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

var (
	// ErrFull says that the lookups that wait already are as much work as may wait.
	ErrFull = errors.New("redis: too many lookups are waiting")
	// ErrExpired says that a lookup has waited too long to be sent.
	ErrExpired = errors.New("redis: the lookup has waited too long")
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
	// Budget is what a lookup may take with its wait. A lookup that has waited for half of the budget is not sent,
	// because Redis is slow. If the last pipeline was quick, this process was held up and not Redis; then a lookup is
	// sent as long as any of its budget is left.
	Budget time.Duration
	// Share is the weight up to which a lookup goes in the lane Light, and beyond which in Heavy.
	Share        int
	Light, Heavy Lane
	// Ended gets the error of each pipeline, nil for success. It is not called for a lookup that is heavier than
	// Lane.Pipeline and goes alone. It may be nil.
	Ended func(error)
}

// Lane bounds what is under way at once. Pipeline is the weight of a pipeline, Queue the weight of the lookups that
// wait, of which one may always be beyond that alone.
type Lane struct{ Connections, Pipeline, Queue int }

// Client sends lookups. P is what a pair of marks proves; it is made once for each pipeline.
type Client[P any] struct {
	o            Options
	judge        func(before, after []byte) P
	mark         []byte // the command that reads it
	requests     sync.Pool
	buffers      sync.Pool
	light, heavy *lane[P]
	drivers      sync.WaitGroup
}

// New makes a client that connects when the first lookup comes. judge gets the values of the mark, nil for
// one that isn't there, and must not keep them.
func New[P any](o Options, judge func(before, after []byte) P) *Client[P] {
	if o.Ended == nil {
		o.Ended = func(error) {}
	}
	c := &Client[P]{o: o, judge: judge, mark: appendCommand(nil, "GET", o.Mark), light: newLane[P](o.Light), heavy: newLane[P](o.Heavy)}
	c.requests.New = func() any { return &Request[P]{client: c, done: make(chan struct{}, 1)} }
	c.buffers.New = func() any { return &buffer{} }
	for _, l := range []*lane[P]{c.light, c.heavy} {
		for range l.bounds.Connections {
			c.drivers.Go(func() { c.drive(l, &conn{o: &c.o}) })
		}
	}
	return c
}

// Close fails what waits and waits for what is under way.
func (c *Client[P]) Close() {
	c.light.close()
	c.heavy.close()
	c.drivers.Wait()
}

// add puts a request into the line of its lane.
func (c *Client[P]) add(r *Request[P]) error {
	r.weight = r.Weight()
	r.entered = time.Now()
	if r.weight > c.o.Share {
		return c.heavy.add(r)
	}
	return c.light.add(r)
}

// drive sends one pipeline of a lane after the other on one connection.
func (c *Client[P]) drive(l *lane[P], link *conn) {
	defer link.close()
	var batch []*Request[P]
	var out []byte
	for {
		batch = l.take(batch[:0])
		if len(batch) == 0 {
			l.fail(ErrClosed)
			return
		}
		alone := len(batch) == 1 && batch[0].weight > l.bounds.Pipeline
		if batch = c.punctual(l, batch); len(batch) == 0 {
			continue
		}
		begun := time.Now()
		var err error
		if out, err = c.send(link, batch, out, alone); cap(out) > largestOut {
			out = nil
		}
		l.quick.Store(err == nil && time.Since(begun) < c.o.Budget/2)
	}
}

// punctual ends the requests that are not worth sending: their clients have left, or would leave before the answer.
func (c *Client[P]) punctual(l *lane[P], batch []*Request[P]) []*Request[P] {
	now, most := time.Now(), c.o.Budget/2
	if l.quick.Load() {
		most = c.o.Budget
	}
	rest := batch[:0]
	for _, r := range batch {
		switch {
		case r.ctx.Err() != nil:
			r.finish(context.Cause(r.ctx))
		case now.Sub(r.entered) > most:
			r.finish(ErrExpired)
		default:
			rest = append(rest, r)
		}
	}
	return rest
}

// send sends a pipeline and hands out the replies. Its deadline is that of the request that came first, but half of the
// budget from now at least.
func (c *Client[P]) send(link *conn, batch []*Request[P], out []byte, alone bool) ([]byte, error) {
	out = append(out[:0], c.mark...)
	for _, r := range batch {
		out = append(out, r.out...)
	}
	out = append(out, c.mark...)
	in := c.buffers.Get().(*buffer)
	deadline := batch[0].entered.Add(c.o.Budget)
	if least := time.Now().Add(c.o.Budget / 2); deadline.Before(least) {
		deadline = least
	}
	err := link.exchange(deadline, out, in, c.ends(batch))
	if err == nil {
		err = c.deliver(batch, in)
	}
	if !alone {
		c.o.Ended(err)
	}
	if err == nil {
		return out, nil
	}
	c.keep(in)
	for _, r := range batch {
		r.finish(err)
	}
	return out, err
}

// keep has a buffer used again, unless it has become too large for that.
func (c *Client[P]) keep(in *buffer) {
	if cap(in.b) <= largestKept {
		c.buffers.Put(in)
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
