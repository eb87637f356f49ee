package live

import (
	"sync/atomic"
	"time"
)

// room is a raffle that has subscribers. The hub's lock guards it, but for published.
type room struct {
	raffle      int64
	subscribers int
	unreadable  time.Time // when its key was found to be no stream

	pending *chunk // was read, is not published yet: pending.last is the place to read on from
	tail    *chunk // was published last
	oldest  *chunk // where the list begins for those who come late
	rest    time.Time

	published atomic.Int64 // tail.total, for subscribers
}

// keptBytes is how much of a raffle's feed is kept in memory for clients that resume. For a client that was away for
// longer, the rest is read from Redis.
const keptBytes = 128 << 10

// A wake-up makes each subscriber write once, some 20 us of processor time on both ends of a connection.
// Events that come while a room rests leave together.
const (
	restPerSubscriber = 25 * time.Microsecond
	longestRest       = 150 * time.Millisecond
)

func newRoom(raffle int64, at Position) *room {
	c := newChunk(at)
	return &room{raffle: raffle, pending: newChunk(at), tail: c, oldest: c}
}

// publish wakes the subscribers if there is something for them and the room has rested. Otherwise it
// returns when it will have; the zero time: there is nothing.
func (r *room) publish(now time.Time) (due time.Time) {
	if len(r.pending.events) == 0 {
		return time.Time{}
	}
	if now.Before(r.rest) {
		return r.rest
	}
	r.rest = now.Add(min(time.Duration(r.subscribers)*restPerSubscriber, longestRest))
	c := r.pending
	c.total = r.tail.total + int64(len(c.text))
	r.pending = newChunk(c.last)
	r.published.Store(c.total)
	r.tail.next = c
	close(r.tail.ready)
	r.tail = c
	if c.resets() { // there is no way from before it to behind it
		r.oldest = c
	}
	for c.total-r.oldest.total > keptBytes {
		r.oldest = r.oldest.next
	}
	return time.Time{}
}

// place returns the chunk whose successors have every event after a position, or nil if the list
// begins later than that.
func (r *room) place(at Position) *chunk {
	if r.oldest.last.after(at) {
		return nil
	}
	c := r.oldest
	for c.next != nil && !c.next.last.after(at) {
		c = c.next
	}
	return c
}
