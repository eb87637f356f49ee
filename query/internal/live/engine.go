package live

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stock-pyramid/stock-pyramid/internal/cors"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Namespace is where socket.io clients find the feed.
const Namespace = "/raffles"

// Check returns why a raffle can't be joined, in words for the client, or "" if it can.
type Check func(ctx context.Context, raffleID int64) (problem string)

// Limits of what a socket.io client may do.
const (
	maxMessage = 4 << 10 // bytes that a client may send at once
	maxJoined  = 20      // raffles of one client
	pollTime   = time.Minute
)

// SocketIO serves the feed to socket.io 4 clients, under /socket.io/, until the hub ends. It speaks engine.io 4
// (github.com/socketio/engine.io-protocol, version 4) over long polls and websockets itself, because what a client
// may make a server do and keep must be bounded. It bounds the sessions in all and of an address, the size and the
// rate of the packets that a session sends, the bytes that wait for a session, and the time in which a client must
// take them.
type SocketIO struct {
	hub     *Hub
	check   Check
	origins cors.Origins
	upgrade websocket.Upgrader

	mu       sync.Mutex
	sessions map[string]*session
	present  census
}

// NewSocketIO makes the handler. Only pages of its own origin and of the given ones may use it.
func NewSocketIO(h *Hub, check Check, origins cors.Origins) *SocketIO {
	return &SocketIO{
		hub: h, check: check, origins: origins, sessions: make(map[string]*session), present: newCensus(h.bounds),
		upgrade: websocket.Upgrader{HandshakeTimeout: writeTime, ReadBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{}, WriteBufferSize: 4 << 10,
			CheckOrigin: origins.Allow},
	}
}

// Serve answers a request under /socket.io/. An error is returned only before anything is written.
func (s *SocketIO) Serve(w http.ResponseWriter, r *http.Request) error {
	// Browsers show a websocket to every page, so the server must refuse pages (RFC 6455, 10.2).
	if !s.origins.Allow(r) {
		return web.ForeignOrigin.Problem(fmt.Sprintf("pages of %.100q may not use this server; its operator lists origins in CORS_ORIGINS", r.Header.Get("Origin")))
	}
	query := r.URL.Query()
	transport := query.Get("transport")
	if query.Get("EIO") != "4" {
		return engineError(w, r, 5, "Unsupported protocol version")
	}
	if transport != "polling" && transport != "websocket" {
		return engineError(w, r, 0, "Transport unknown")
	}
	c := s.find(query.Get("sid"))
	if c == nil && query.Has("sid") {
		return engineError(w, r, 1, "Session ID unknown")
	}
	if transport == "websocket" {
		return s.websocket(w, r, c)
	}
	// The server's time limits are shorter than a long poll. Only the writers of tests have no deadlines.
	control, until := http.NewResponseController(w), time.Now().Add(pollTime)
	_ = control.SetReadDeadline(until)
	_ = control.SetWriteDeadline(until)
	switch {
	case c == nil && r.Method == http.MethodGet:
		return s.begin(w, r)
	case c != nil && r.Method == http.MethodGet:
		return c.poll(w, r)
	case c != nil && r.Method == http.MethodPost:
		return c.receive(w, r)
	}
	return engineError(w, r, 2, "Bad handshake method")
}

// SessionID is the header in which the answer that opens a session names it. The front door sends the polls of a
// session to the instance that has it.
const SessionID = "X-Session-Id"

// begin opens a session that polls.
func (s *SocketIO) begin(w http.ResponseWriter, r *http.Request) error {
	c, err := s.open(r)
	if err != nil {
		return err
	}
	go c.run()
	w.Header().Set(SessionID, c.id)
	return writePolled(w, [][]byte{c.greeting(`"websocket"`)})
}

// open makes a session, unless there are too many.
func (s *SocketIO) open(r *http.Request) (*session, error) {
	address := s.hub.bounds.Proxies.Client(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.hub.ended:
		return nil, ErrFull
	default:
	}
	if !s.present.enter(address) {
		s.hub.metrics.refused.WithLabelValues("socket.io").Inc()
		return nil, ErrFull
	}
	c := newSession(s, rand.Text(), address)
	s.sessions[c.id] = c
	return c, nil
}

func (s *SocketIO) find(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// forget is called once for each session, at its end.
func (s *SocketIO) forget(id string, address netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, id)
	s.present.leave(address)
}

// engineError answers as the protocol's own server does; clients know the codes.
func engineError(w http.ResponseWriter, r *http.Request, code int, message string) error {
	w.Header().Set("Cache-Control", "no-store")
	web.WriteJSON(w, r, http.StatusBadRequest, map[string]any{"code": code, "message": message})
	return nil
}
