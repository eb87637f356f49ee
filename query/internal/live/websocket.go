package live

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// socketBuffer is about how many bytes of a client's packets the kernel holds. By default it may hold megabytes.
const socketBuffer = 64 << 10

var errProtocol = errors.New("not a packet that belongs here")

// websocket serves a session over a websocket. c is nil for a new session, or a session that has polled so far.
func (s *SocketIO) websocket(w http.ResponseWriter, r *http.Request, c *session) error {
	fresh := c == nil
	if fresh {
		if !websocket.IsWebSocketUpgrade(r) {
			return engineError(w, r, 3, "Bad request")
		}
		var err error
		if c, err = s.open(r); err != nil {
			return err
		}
		go c.run()
	}
	conn, err := s.upgrade.Upgrade(w, r, nil)
	if err != nil {
		if fresh {
			c.end(err)
		}
		return nil // the upgrader has answered
	}
	web.StaysOpen(w)
	defer conn.Close()
	conn.SetReadLimit(maxMessage)
	below := conn.NetConn()
	if over, is := below.(interface{ NetConn() net.Conn }); is {
		below = over.NetConn()
	}
	if tcp, is := below.(*net.TCPConn); is {
		_ = tcp.SetReadBuffer(socketBuffer) // the kernel's own choice would do as well
	}
	if fresh {
		if write(conn, c.greeting("")) != nil {
			c.end(errGone)
			return nil
		}
	} else if !c.probe(conn) {
		return nil
	}
	c.use(upgraded)
	go c.write(conn)
	c.end(c.read(conn))
	return nil
}

// probe lets a client change from polls to its websocket. The client asks whether the websocket works, its polls are
// ended, and then the client says that it has changed.
func (c *session) probe(conn *websocket.Conn) bool {
	if !expect(conn, "2probe") || write(conn, []byte("3probe")) != nil || !c.beginProbe() {
		return false
	}
	if !expect(conn, "5") {
		c.use(polling)
		return false
	}
	return true
}

// beginProbe fails while another websocket probes, or once one has taken over.
func (c *session) beginProbe() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != polling {
		return false
	}
	c.transport = probing
	c.signal()
	return true
}

func expect(conn *websocket.Conn, want string) bool {
	_ = conn.SetReadDeadline(time.Now().Add(drainTime)) // the read fails if it can't be set
	kind, got, err := conn.ReadMessage()
	return err == nil && kind == websocket.TextMessage && string(got) == want
}

// read handles the client's packets until the session ends. Each packet is handled before the next one is read, and a
// packet beyond the client's budget waits, so a client that sends faster fills the connection's buffers and nothing
// else. A client that was cut off instead would come back at once, which costs more.
func (c *session) read(conn *websocket.Conn) error {
	for {
		if err := c.budget.Wait(c.ctx); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(3 * heartbeat)); err != nil {
			return err
		}
		kind, packet, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		if kind != websocket.TextMessage {
			return errProtocol
		}
		c.packet(packet)
	}
}

// write sends the waiting packets until the session ends. Then it closes the connection, which ends read as well.
func (c *session) write(conn *websocket.Conn) {
	defer conn.Close()
	for {
		list := c.take()
		for _, b := range list {
			for _, packet := range b.packets {
				if write(conn, packet) != nil {
					c.end(errGone)
					return
				}
			}
		}
		written(list)
		select {
		case <-c.wake:
		case <-c.ctx.Done():
			return
		}
	}
}

func write(conn *websocket.Conn, packet []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(drainTime)); err != nil {
		return err
	}
	return conn.WriteMessage(websocket.TextMessage, packet)
}
