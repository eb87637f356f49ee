package live

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/zishang520/engine.io/v2/transports"
	"github.com/zishang520/engine.io/v2/types"
	"github.com/zishang520/socket.io/v2/socket"
)

// Namespace is where socket.io clients find the feed.
const Namespace = "/raffles"

// Check says why a raffle can't be joined, in words for the client; empty: it can.
type Check func(ctx context.Context, raffleID int64) (problem string)

// Limits of what a socket.io client may do.
const (
	maxMessage = 4 << 10 // bytes of what a client sends at once
	maxJoined  = 20      // raffles of one client
	pollTime   = time.Minute
)

// SocketIO serves the feed to socket.io 4 clients, under /socket.io/, until the hub ends.
type SocketIO struct {
	hub    *Hub
	check  Check
	server *socket.Server
	engine http.Handler
}

// NewSocketIO makes the handler.
func NewSocketIO(h *Hub, check Check) *SocketIO {
	options := socket.DefaultServerOptions()
	options.SetServeClient(false)
	options.SetTransports(types.NewSet(transports.POLLING, transports.WEBSOCKET))
	options.SetMaxHttpBufferSize(maxMessage)
	options.SetPingInterval(heartbeat)
	options.SetPingTimeout(heartbeat)
	options.SetConnectTimeout(heartbeat)
	options.SetHttpCompression(nil)
	s := &SocketIO{hub: h, check: check, server: socket.NewServer(nil, options)}
	s.engine = s.server.ServeHandler(options)
	s.server.Of(Namespace, func(args ...any) { s.connected(args[0].(*socket.Socket)) })
	h.mu.Lock()
	defer h.mu.Unlock()
	h.atEnd = append(h.atEnd, func() { go s.server.Close(nil) }) // the library waits for writes under way
	return s
}

// ServeHTTP makes SocketIO an http.Handler.
func (s *SocketIO) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The server's time limits are shorter than a long poll; a websocket takes its connection over. A
	// writer without deadlines is one of a test.
	control, until := http.NewResponseController(w), time.Now().Add(pollTime)
	_ = control.SetReadDeadline(until)
	_ = control.SetWriteDeadline(until)
	// The library bounds only what announces its length.
	r.Body = http.MaxBytesReader(w, r.Body, maxMessage)
	s.engine.ServeHTTP(w, r)
}

func (s *SocketIO) connected(client *socket.Socket) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{hub: s.hub, check: s.check, socket: client, ctx: ctx, joined: make(map[int64]*joined)}
	for event, do := range map[string]func(...any){
		"join":       m.join,
		"disconnect": func(...any) { cancel() },
	} {
		if err := client.On(event, do); err != nil {
			s.hub.log.Error("socket.io listener", "event", event, "error", err)
		}
	}
}

// member is a connected socket.io client.
type member struct {
	hub    *Hub
	check  Check
	socket *socket.Socket
	ctx    context.Context // ends with the connection

	mu     sync.Mutex
	joined map[int64]*joined // by raffle
}

// joined is a feed of a member.
type joined struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// join begins a feed, in place of one of the same raffle. The library calls it on a goroutine of its own
// for each event.
func (m *member) join(args ...any) {
	answer := m.answer(args)
	request, problem := parseJoin(args)
	if problem == "" {
		problem = m.check(m.ctx, request.raffle)
	}
	if problem != "" {
		answer(problem, nil)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if old := m.joined[request.raffle]; old != nil {
		old.cancel()
		<-old.ended
		delete(m.joined, request.raffle)
	}
	if len(m.joined) >= maxJoined {
		answer("too many raffles are joined on this connection", nil)
		return
	}
	sub, err := m.hub.subscribe("socket.io", request.raffle, request.size, request.from)
	if err != nil {
		answer("there are as many live feeds as there may be; try again later", nil)
		return
	}
	ok := map[string]any{"raffle_id": request.raffle}
	if sub.at != (Position{}) {
		ok["last_event_id"] = sub.at.String()
	}
	answer("", ok)
	ctx, cancel := context.WithCancel(m.ctx)
	feed := &joined{cancel: cancel, ended: make(chan struct{})}
	m.joined[request.raffle] = feed
	go func() {
		defer close(feed.ended)
		m.feed(ctx, sub)
	}()
}

// answer returns what answers a join: its acknowledgement if the client wants one, else an event error for
// a problem.
func (m *member) answer(args []any) func(problem string, ok map[string]any) {
	if len(args) > 0 {
		if ack, is := args[len(args)-1].(socket.Ack); is {
			return func(problem string, ok map[string]any) {
				if problem != "" {
					ok = map[string]any{"error": problem}
				}
				ack([]any{ok}, nil)
			}
		}
	}
	return func(problem string, _ map[string]any) {
		if problem == "" {
			return
		}
		if err := m.socket.Emit("error", map[string]any{"message": problem}); err != nil {
			m.hub.log.Debug("socket.io", "error", err)
		}
	}
}
