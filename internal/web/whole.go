package web

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"sync"
)

// net/http sends an answer in pieces of 4 KB. Each piece costs both ends a system call and a wake-up, so an answer of a
// few of them is collected and sent in one piece.

// largestWhole is the largest body that is collected, in bytes. Copying a larger one costs more than it saves.
const largestWhole = 32 << 10

// SendWhole makes the answer's head and its body of n bytes be sent in one piece. The handler must set Content-Length to n
// and write exactly these bytes next.
func SendWhole(r *http.Request, n int) {
	if c, is := r.Context().Value(wholeKey{}).(*wholeConn); is && n <= largestWhole && r.Method != http.MethodHead {
		c.body = n
	}
}

type wholeKey struct{}

// wholeContext keeps the connection for SendWhole.
func wholeContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, wholeKey{}, c)
}

// wholeListener accepts connections that can collect answers.
type wholeListener struct{ net.Listener }

func (l wholeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &wholeConn{Conn: c}, nil
}

// wholeConn collects an answer from SendWhole on until its head and its body are there.
type wholeConn struct {
	net.Conn
	body int // bytes of the body that is collected; 0: everything is sent at once
	held *[]byte
}

var heldAnswers = sync.Pool{New: func() any { b := make([]byte, 0, 12<<10); return &b }}

func (c *wholeConn) Write(p []byte) (int, error) {
	if c.body == 0 {
		return c.Conn.Write(p)
	}
	if c.held == nil {
		c.held = heldAnswers.Get().(*[]byte)
	}
	*c.held = append(*c.held, p...)
	head := bytes.Index(*c.held, []byte("\r\n\r\n"))
	if head < 0 || len(*c.held) < head+4+c.body {
		return len(p), nil
	}
	_, err := c.Conn.Write(*c.held)
	*c.held = (*c.held)[:0]
	heldAnswers.Put(c.held)
	c.body, c.held = 0, nil
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite lets net/http end a connection without losing an answer that the client has not read.
func (c *wholeConn) CloseWrite() error {
	if tcp, is := c.Conn.(interface{ CloseWrite() error }); is {
		return tcp.CloseWrite()
	}
	return nil
}

// NetConn is the connection below, as that of a tls.Conn.
func (c *wholeConn) NetConn() net.Conn { return c.Conn }
