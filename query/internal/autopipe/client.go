package autopipe

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

var (
	// ErrFull is returned if the request would make the waiting requests heavier than Limits.Waiting.
	ErrFull = errors.New("redis: too many lookups are waiting")
	// ErrExpired is returned if a request waited too long to be sent, because too many requests waited before it.
	ErrExpired = errors.New("redis: the lookup has waited too long")
	// ErrUnanswered is returned if a request waited too long to be sent, because the pipeline before it failed.
	ErrUnanswered = errors.New("redis: the lookups before were not answered")
	// ErrClosed is returned when the client was closed.
	ErrClosed = errors.New("redis: client closed")
)

// Options say how to reach Redis and how much is sent at once.
type Options struct {
	// Server is connected to when a request needs it. Its DialTimeout may be longer than Budget, because dialling
	// goes on after the requests that wait for it have given up.
	Server resp.Options
	// VersionKey is read before and after the commands of each pipeline.
	VersionKey string
	// Budget is the time that a request may take, including the time that it waits. A request that has waited for
	// more than half of the budget is not sent if Redis is slow: the last pipeline failed, or it took half a budget and so
	// did one before it. Otherwise this process was held up, so a request is sent if it has waited no longer than HeldUp.
	Budget, HeldUp time.Duration
	// MaxLight is the weight up to which a request is light.
	MaxLight     int
	Light, Heavy Limits
	// Ended gets the error of each pipeline, nil for success. It is not called for a request that is sent alone
	// because it is heavier than Limits.Pipeline. It may be nil.
	Ended func(error)
}

// Limits bound the light or the heavy requests: the number of connections, the weight of a pipeline, and the weight
// of the requests that wait. A request that finds no other one waiting is accepted whatever its weight. Sent is told of each
// pipeline that was answered: how many requests it held, twins included, and its weight. It may be nil.
type Limits struct {
	Connections, Pipeline, Waiting int
	Sent                           func(requests, weight int)
}

// Client sends requests. S is the snapshot that two reads of the version key prove. It is made once for each
// pipeline.
type Client[S any] struct {
	o            Options
	validate     func(before, after []byte) S
	version      []byte // the command that reads the version key
	seed         maphash.Seed
	requests     sync.Pool
	buffers      sync.Pool
	light, heavy *queue[S]
	workers      sync.WaitGroup
}

// New makes a client that connects when the first request is sent. validate gets the two values of the version key
// and must not keep them. A value is nil if the key did not exist.
func New[S any](o Options, validate func(before, after []byte) S) *Client[S] {
	if o.Ended == nil {
		o.Ended = func(error) {}
	}
	var version resp.Commands
	version.Add("GET", o.VersionKey)
	c := &Client[S]{o: o, validate: validate, version: version.Wire, seed: maphash.MakeSeed(), light: newQueue[S](o.Light), heavy: newQueue[S](o.Heavy)}
	c.requests.New = func() any { return &Request[S]{client: c, done: make(chan struct{}, 1)} }
	c.buffers.New = func() any { return &buffer{} }
	for _, q := range []*queue[S]{c.light, c.heavy} {
		for range q.limits.Connections {
			c.workers.Go(func() { c.work(q, &conn{server: c.o.Server}) })
		}
	}
	return c
}

// Close ends all waiting requests with ErrClosed and returns once the pipelines under way have ended.
func (c *Client[S]) Close() {
	c.light.close()
	c.heavy.close()
	c.workers.Wait()
}

// add puts a request into its queue.
func (c *Client[S]) add(r *Request[S]) error {
	r.weight = r.Weight()
	r.entered = time.Now()
	if r.shared {
		r.sum = maphash.Bytes(c.seed, r.Wire)
	}
	if r.weight > c.o.MaxLight {
		return c.heavy.add(r)
	}
	return c.light.add(r)
}

// work sends the requests of a queue on one connection, one pipeline after the other.
func (c *Client[S]) work(q *queue[S], link *conn) {
	defer link.close()
	var batch []*Request[S]
	var out []byte
	for {
		batch = q.next(batch[:0])
		if len(batch) == 0 {
			q.fail(ErrClosed)
			return
		}
		alone := len(batch) == 1 && batch[0].weight > q.limits.Pipeline
		if batch = c.dropExpired(q, batch); len(batch) == 0 {
			continue
		}
		requests, weight := size(batch)
		begun := time.Now()
		var err error
		if out, err = c.send(link, batch, out, alone); cap(out) > largestOut {
			out = nil
		}
		q.note(err, begun, time.Now(), c.o.Budget/2)
		if err == nil && q.limits.Sent != nil {
			q.limits.Sent(requests, weight)
		}
	}
}

// size is how many requests a pipeline holds, and its weight.
func size[S any](batch []*Request[S]) (requests, weight int) {
	for _, r := range batch {
		requests += 1 + len(r.twins)
		weight += r.load()
	}
	return requests, weight
}

// dropExpired ends the requests whose callers have left and the requests that have waited too long, and returns the
// others.
func (c *Client[S]) dropExpired(q *queue[S], batch []*Request[S]) []*Request[S] {
	now, most, late := time.Now(), c.o.Budget/2, ErrExpired
	if !q.slow.Load() {
		most = c.o.HeldUp
	}
	if q.failed.Load() {
		late = ErrUnanswered
	}
	ended := func(r *Request[S]) error {
		switch {
		case r.ctx.Err() != nil:
			return context.Cause(r.ctx)
		case now.Sub(r.entered) > most:
			return late
		}
		return nil
	}
	rest := batch[:0]
	for _, r := range batch {
		if r = r.goOn(ended); r != nil {
			rest = append(rest, r)
		}
	}
	return rest
}

// send sends a pipeline and hands out the replies. Its deadline is the end of the first request's budget, but not earlier
// than half a budget from now.
func (c *Client[S]) send(link *conn, batch []*Request[S], out []byte, alone bool) ([]byte, error) {
	out = append(out[:0], c.version...)
	for _, r := range batch {
		out = append(out, r.Wire...)
	}
	out = append(out, c.version...)
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
	c.reuse(in)
	for _, r := range batch {
		r.fail(err)
	}
	return out, err
}

// reuse gives a buffer back to the pool, unless it has become too large.
func (c *Client[S]) reuse(in *buffer) {
	if cap(in.b) <= largestKept {
		c.buffers.Put(in)
	}
}

// ends returns a function that says whether all replies of a pipeline have arrived in b, and that notes where the replies
// of each request begin and end.
func (c *Client[S]) ends(batch []*Request[S]) func(b []byte) (bool, error) {
	var s resp.Scanner
	at, missing := -1, 1 // the request whose replies are read, how many it lacks; -1, len(batch): versions
	return func(b []byte) (bool, error) {
		for at <= len(batch) {
			if missing > 0 {
				if done, err := s.Next(b); !done || err != nil {
					return false, err
				}
				missing--
				continue
			}
			if at >= 0 && at < len(batch) {
				batch[at].to = s.Pos
			}
			if at, missing = at+1, 1; at < len(batch) {
				batch[at].from, missing = s.Pos, batch[at].N
			}
		}
		return true, nil
	}
}

// deliver validates the two versions and hands every request its replies.
func (c *Client[S]) deliver(batch []*Request[S], in *buffer) error {
	before, after := resp.NewReplies(in.b), resp.NewReplies(in.b[batch[len(batch)-1].to:])
	first, second := before.Bytes(), after.Bytes()
	if err := errors.Join(before.Err(), after.Err()); err != nil {
		return err
	}
	snapshot := c.validate(first, second)
	users := len(batch)
	for _, r := range batch {
		users += len(r.twins)
	}
	in.users.Store(int32(users))
	for _, r := range batch {
		replies := in.b[r.from:r.to]
		for one := range r.all() {
			one.snapshot, one.in, one.Replies = snapshot, in, resp.NewReplies(replies)
			one.finish(nil)
		}
	}
	return nil
}
