package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// packet handles an engine.io packet of the client.
func (c *session) packet(p []byte) {
	c.handling.Lock()
	defer c.handling.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	kind, rest := byte(0), []byte(nil)
	if len(p) > 0 {
		kind, rest = p[0], p[1:]
	}
	switch kind {
	case '4': // MESSAGE
		c.message(rest)
	case '3': // PONG
		c.mu.Lock()
		c.ponged = true
		c.mu.Unlock()
	case '1': // CLOSE
		c.end(errGone)
	default:
		c.end(errProtocol)
	}
}

// message handles a socket.io packet (github.com/socketio/socket.io-protocol, version 5): type, namespace, number of
// the acknowledgement, JSON. Packets with binary attachments end the session.
func (c *session) message(p []byte) {
	if len(p) == 0 {
		c.end(errProtocol)
		return
	}
	kind, rest := p[0], p[1:]
	namespace := "/"
	if len(rest) > 0 && rest[0] == '/' {
		name, after, _ := bytes.Cut(rest, []byte(","))
		namespace, rest = string(name), after
	}
	switch kind {
	case '0':
		c.connect(namespace)
	case '1':
		if namespace == Namespace {
			c.leave()
		}
	case '2':
		c.event(namespace, rest)
	case '3': // an acknowledgement, which the server never asks for
	default:
		c.end(errProtocol)
	}
}

// connect lets the client enter a namespace. The main namespace offers nothing, but every server has it.
func (c *session) connect(namespace string) {
	prefix := ""
	switch namespace {
	case "/":
	case Namespace:
		c.mu.Lock()
		if c.member == nil {
			c.member = newMember(c)
		}
		c.mu.Unlock()
		prefix = Namespace + ","
	default:
		c.post([]byte("44" + namespace + `,{"message":"Invalid namespace"}`))
		return
	}
	c.post([]byte("40" + prefix + `{"sid":"` + c.id + `"}`))
}

// leave ends the client's feeds.
func (c *session) leave() {
	c.mu.Lock()
	m := c.member
	c.member = nil
	c.mu.Unlock()
	if m != nil {
		m.end()
	}
}

// event handles the client's events join and leave, and refuses all others. It ignores the events of a namespace that
// the client is not in.
func (c *session) event(namespace string, p []byte) {
	c.mu.Lock()
	m := c.member
	c.mu.Unlock()
	if namespace != "/" && (namespace != Namespace || m == nil) {
		return
	}
	digits := len(p) - len(bytes.TrimLeft(p, "0123456789"))
	ack := string(p[:digits])
	var args []any
	if err := json.Unmarshal(p[digits:], &args); err != nil || len(args) == 0 || digits > 18 {
		c.end(errProtocol)
		return
	}
	switch name, _ := args[0].(string); {
	case namespace == "/":
		c.refuse("", ack, "join and leave are events of the namespace "+Namespace)
	case name == "join":
		m.join(ack, args[1:])
	case name == "leave":
		m.quit(ack, args[1:])
	default:
		m.refuse(ack, fmt.Sprintf("there is no event %.40q, only join and leave", name))
	}
}

// member is a client in the namespace. join runs for one packet at a time, and each feed in a goroutine of its own.
type member struct {
	session *session
	ctx     context.Context // ends when the client leaves
	end     context.CancelFunc
	joined  map[int64]*joined // by raffle
}

func newMember(c *session) *member {
	ctx, end := context.WithCancel(c.ctx)
	return &member{session: c, ctx: ctx, end: end, joined: make(map[int64]*joined)}
}

// joined is a feed of a member.
type joined struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// join begins a feed in place of an earlier one of the same raffle.
func (m *member) join(ack string, args []any) {
	request, problem := parseJoin(args)
	if problem == "" {
		problem = m.session.io.check(m.ctx, request.raffle)
	}
	if problem != "" {
		m.refuse(ack, problem)
		return
	}
	m.drop(request.raffle)
	m.forgetEnded()
	hub := m.session.io.hub
	if len(m.joined) >= maxJoined {
		m.refuse(ack, "too many raffles are joined on this connection")
		return
	}
	sub, err := hub.subscribe("socket.io", m.session.address, request.raffle, request.size, request.from)
	if err != nil {
		hub.metrics.refused.WithLabelValues("socket.io").Inc()
		m.refuse(ack, "there are as many live feeds as there may be; try again later")
		return
	}
	sub.ended = m.session.ended // together
	ok := map[string]any{"raffle_id": request.raffle}
	if sub.at != (Position{}) {
		ok["last_event_id"] = sub.at.String()
	}
	m.acknowledge(ack, ok)
	ctx, cancel := context.WithCancel(m.ctx)
	feed := &joined{cancel: cancel, ended: make(chan struct{})}
	m.joined[request.raffle] = feed
	go func() {
		defer close(feed.ended)
		m.feed(ctx, sub)
	}()
}

// feed sends a subscription to the client until either ends.
func (m *member) feed(ctx context.Context, sub *Subscription) {
	defer sub.close()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		c, err := sub.next(ctx, beat.C)
		if err == nil {
			err = m.send(ctx, sub, c)
		}
		if errors.Is(err, ErrSlow) {
			m.session.drop()
		}
		if err != nil {
			return
		}
	}
}

// maxBatch is how many bytes a batch of a feed holds, not counting the rest of its last chunk. All subscribers share
// the packets of a whole chunk.
const maxBatch = 64 << 10

// send sends a chunk and the chunks that are already published after it, in batches, and waits until the client's
// transport has written each batch.
func (m *member) send(ctx context.Context, sub *Subscription, c *chunk) error {
	for c != nil {
		var out [][]byte
		closed := false
		for size := 0; c != nil && size < maxBatch; c = sub.more() {
			part := sub.take(c)
			closed = closed || part.closes()
			sub.hub.metrics.resets.WithLabelValues(sub.transport).Add(float64(part.resets()))
			for _, packet := range part.packets() {
				size += len(packet)
				out = append(out, packet)
			}
		}
		if len(out) == 0 {
			continue
		}
		if err := m.session.send(ctx, out); err != nil {
			return err
		}
		if closed {
			return errClosed
		}
	}
	return nil
}
