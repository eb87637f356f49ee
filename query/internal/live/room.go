package live

import (
	"sync/atomic"
	"time"
)

// room is a raffle that has subscribers. The hub's lock guards all fields except published.
type room struct {
	raffle      int64
	subscribers int
	unreadable  time.Time // when its key was found to be no stream

	pending *chunk // not published yet; the next read begins behind pending.last
	tail    *chunk // the newest published chunk
	oldest  *chunk // where the list begins for subscribers that resume
	rest    time.Time

	published atomic.Int64 // tail.total, which subscribers read without the lock
}

// keptBytes is how much of a raffle's feed is kept in memory for clients that resume. A client that was away for
// longer reads the rest from Redis.
const keptBytes = 128 << 10

// A new chunk makes each subscriber write once, which takes some 20 us of processor time on both ends of a
// connection. So a room rests after each chunk, and the events that arrive meanwhile share the next one.
const (
	restPerSubscriber = 25 * time.Microsecond
	longestRest       = 150 * time.Millisecond
)

func newRoom(raffle int64, at Position) *room {
	c := newChunk(at)
	return &room{raffle: raffle, pending: newChunk(at), tail: c, oldest: c}
}

// publish publishes the pending chunk if it has events and the room has rested. If the room must still rest, publish
// returns when the rest ends, otherwise the zero time.
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
	if c.has(nameReset) { // a subscriber from before a reset does not resume in memory
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
