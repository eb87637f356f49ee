package live

import (
	"context"
	"net/netip"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Subscription is one subscriber's way through a raffle's feed. It is for one goroutine.
type Subscription struct {
	hub       *Hub
	room      *room
	transport string
	client    netip.Addr
	size      int16
	ended     <-chan struct{}
	at        Position         // the subscriber has had everything up to here
	node      *chunk           // the chunk taken last; nil while missed events are read from Redis
	unsure    bool             // it is not known whether the raffle is closed
	end       *readmodel.Event // how the raffle closed, if it is known to be closed
}

// maxBehind is how many bytes a subscriber may lie behind the newest chunk, besides the bytes in its connection's
// buffers. It bounds the chunks that slow subscribers keep from being freed, which all of them share.
const maxBehind = 1 << 20

// subscribe begins a client's feed of a raffle and a size (mm; 0: all) behind a position. From the zero Position the
// feed begins with the next event.
func (h *Hub) subscribe(transport string, client netip.Addr, raffleID int64, size int16, from Position) (*Subscription, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.subscribers.enter(client) {
		return nil, ErrFull
	}
	r := h.rooms[raffleID]
	if r == nil {
		r = newRoom(raffleID, h.now)
		h.rooms[raffleID] = r
	}
	r.subscribers++
	h.metrics.subscribers.WithLabelValues(transport).Inc()
	s := &Subscription{hub: h, room: r, transport: transport, client: client, size: size, ended: h.exits.pick(), at: from, unsure: true}
	if (from == Position{}) {
		s.node, s.at = r.tail, r.tail.last
		if h.now.Epoch == s.at.Epoch && h.now.after(s.at) {
			s.at = h.now
		}
	}
	return s, nil
}

// close ends the subscription.
func (s *Subscription) close() {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subscribers.leave(s.client)
	h.metrics.subscribers.WithLabelValues(s.transport).Dec()
	if s.room.subscribers--; s.room.subscribers == 0 {
		delete(h.rooms, s.room.raffle)
	}
}

// next waits for the next chunk. It returns nil if beat comes first.
func (s *Subscription) next(ctx context.Context, beat <-chan time.Time) (*chunk, error) {
	if s.unsure {
		s.settle(ctx)
	}
	if s.end != nil {
		return s.rest(ctx)
	}
	for s.node == nil {
		c, err := s.resume(ctx)
		if c != nil || err != nil {
			return c, err
		}
	}
	if s.room.published.Load()-s.node.total > maxBehind {
		return nil, ErrSlow
	}
	select {
	case <-s.node.ready:
		s.node = s.node.next
		return s.node, nil
	case <-beat:
		return nil, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.ended:
		return nil, ErrEnded
	}
}

// more returns the next chunk if it is published already.
func (s *Subscription) more() *chunk {
	if s.node == nil {
		return nil
	}
	select {
	case <-s.node.ready:
		s.node = s.node.next
		return s.node
	default:
		return nil
	}
}

// take returns the events of a chunk that are new to the subscriber and of its size, and moves the subscriber behind
// the chunk.
func (s *Subscription) take(c *chunk) part {
	p := c.of(s.size).after(s.at)
	resets := c.has(nameReset)
	if resets || c.last.after(s.at) {
		s.at = c.last
	}
	s.unsure = s.unsure || resets && s.end == nil
	return p
}

// resume finds the chunk at the subscriber's position. If the list in memory begins later, resume returns a chunk of
// its own with missed events or a reset. After nil without an error the caller checks s.node and tries again.
func (s *Subscription) resume(ctx context.Context) (*chunk, error) {
	h := s.hub
	h.mu.Lock()
	now, timeline, oldest := h.now, h.timeline, s.room.oldest.last
	s.node = s.room.place(s.at)
	h.mu.Unlock()
	if s.node != nil {
		return nil, nil
	}
	if (now == Position{}) {
		return nil, s.pause(ctx)
	}
	if now.Epoch == s.at.Epoch {
		list, whole, err := h.missed(ctx, now.Epoch.Live(s.room.raffle), s.at.Event)
		if err != nil {
			h.log.DebugContext(ctx, "resume", "error", err)
			return nil, s.pause(ctx)
		}
		if whole {
			return s.page(ctx, list, oldest, timeline)
		}
	}
	c := newChunk(now)
	c.addReset(s.room.raffle, now, timeline)
	return c, nil
}

// missed reads a page for a subscriber that resumes. The number of such reads at once is bounded, so that the clients
// that resume after a restart leave connections for the hub.
func (h *Hub) missed(ctx context.Context, key string, after readmodel.EventID) ([]entry, bool, error) {
	select {
	case h.resuming <- struct{}{}:
		defer func() { <-h.resuming }()
	case <-ctx.Done():
		return nil, false, context.Cause(ctx)
	}
	return readPage(ctx, h.client, key, after)
}

// page makes a chunk of a page. A page shorter than pageEntries has reached the end of the stream. oldest, the start of
// the room's list in memory, was noted before the page was read, so the page covers everything up to oldest, and the
// subscriber may go on there.
func (s *Subscription) page(ctx context.Context, list []entry, oldest Position, timeline uint32) (*chunk, error) {
	c := newChunk(s.at)
	c.addEntries(s.room.raffle, s.at.Epoch, timeline, list, s.hub.data)
	if len(list) < pageEntries && oldest.Epoch == c.last.Epoch && oldest.after(c.last) {
		c.last = oldest
	}
	if c.last == s.at {
		return nil, s.pause(ctx)
	}
	return c, nil
}

// pause waits a moment for the hub or Redis to have what the subscriber needs.
func (s *Subscription) pause(ctx context.Context) error {
	select {
	case <-s.ended:
		return ErrEnded
	case <-time.After(longestBlock):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
