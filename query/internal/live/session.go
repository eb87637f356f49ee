package live

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Bounds of one session. They allow for a client that joins maxJoined raffles after each reconnect and answers pings.
const (
	packetRate  = rate.Limit(10) // a second
	packetBurst = 4 * maxJoined
	maxWaiting  = 64 << 10         // bytes that wait for a client, besides one batch of a feed
	drainTime   = 10 * time.Second // in which a client must take what waits for it
)

var errGone = errors.New("client gone")

// session is a client's engine.io session: the packets that wait for the client, and the raffles that it has joined.
// Either a poll or a websocket takes the packets.
type session struct {
	io      *SocketIO
	id      string
	address netip.Addr
	ctx     context.Context // ends with the session
	end     context.CancelCauseFunc
	ended   <-chan struct{}
	budget  *rate.Limiter // packets of the client
	feeding chan struct{} // held by the feed whose batch waits, so that only one batch does
	wake    chan struct{} // packets wait, or the transport has changed

	handling sync.Mutex // held while a packet of the client is handled

	mu        sync.Mutex
	waiting   []batch
	bytes     int // of the waiting packets that are of no feed
	polled    bool
	posting   bool
	transport transport
	ponged    bool
	member    *member // nil: not in the namespace
}

// transport is how a client gets what waits for it.
type transport int

const (
	polling  transport = iota
	probing            // polls are answered at once, so that the client can change to its websocket
	upgraded           // a websocket
)

// batch is packets that belong together.
type batch struct {
	packets [][]byte
	taken   chan struct{} // closed once they are written; nil if no feed waits for that
}

func newSession(s *SocketIO, id string, address netip.Addr) *session {
	ctx, end := context.WithCancelCause(context.Background())
	return &session{io: s, id: id, address: address, ctx: ctx, end: end, ended: s.hub.exits.pick(), budget: rate.NewLimiter(packetRate, packetBurst),
		feeding: make(chan struct{}, 1), wake: make(chan struct{}, 1), ponged: true}
}

// greeting is engine.io's OPEN packet.
func (c *session) greeting(upgrades string) []byte {
	return fmt.Appendf(nil, `0{"sid":"%s","upgrades":[%s],"pingInterval":%d,"pingTimeout":%d,"maxPayload":%d}`,
		c.id, upgrades, heartbeat.Milliseconds(), heartbeat.Milliseconds(), maxMessage)
}

// run pings the client until the session ends.
func (c *session) run() {
	defer c.io.forget(c.id, c.address)
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			c.beat()
		case <-c.ctx.Done():
			c.leave()
			return
		case <-c.ended:
			c.end(ErrEnded)
		}
	}
}

// beat pings the client. It ends the session instead if the client has not answered the last ping or is not in the
// namespace.
func (c *session) beat() {
	c.mu.Lock()
	alive := c.ponged && c.member != nil
	c.ponged = false
	c.mu.Unlock()
	if !alive {
		c.end(errGone)
		return
	}
	c.post([]byte("2"))
}

// post queues a packet. If too many bytes wait then, the client is dropped.
func (c *session) post(packet []byte) {
	c.mu.Lock()
	c.waiting = append(c.waiting, batch{packets: [][]byte{packet}})
	c.bytes += len(packet) + 64 // 64 for what keeping the packet costs
	tooMuch := c.bytes > maxWaiting
	c.mu.Unlock()
	if tooMuch {
		c.drop()
		return
	}
	c.signal()
}

// send queues a batch of a feed and returns once the client's transport has written it.
func (c *session) send(ctx context.Context, packets [][]byte) error {
	slow := time.NewTimer(drainTime)
	defer slow.Stop()
	b := batch{packets: packets, taken: make(chan struct{})}
	select {
	case c.feeding <- struct{}{}:
		defer func() { <-c.feeding }()
	case <-slow.C:
		return ErrSlow
	case <-ctx.Done():
		return errGone
	}
	c.mu.Lock()
	c.waiting = append(c.waiting, b)
	c.mu.Unlock()
	c.signal()
	select {
	case <-b.taken:
		return nil
	case <-slow.C:
		return ErrSlow
	case <-ctx.Done():
		return errGone
	}
}

func (c *session) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// take returns the waiting batches and empties the queue.
func (c *session) take() []batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.waiting
	c.waiting, c.bytes = nil, 0
	return list
}

func (c *session) using() transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transport
}

func (c *session) use(t transport) {
	c.mu.Lock()
	c.transport = t
	c.mu.Unlock()
	c.signal()
}

// drop ends the session of a client that does not keep to its bounds.
func (c *session) drop() {
	if c.ctx.Err() == nil {
		c.io.hub.metrics.dropped.WithLabelValues("socket.io").Inc()
		c.end(ErrSlow)
	}
}

// written wakes the feeds that wait for these batches to be written.
func written(list []batch) {
	for _, b := range list {
		if b.taken != nil {
			close(b.taken)
		}
	}
}
