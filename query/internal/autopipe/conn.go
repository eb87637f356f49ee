package autopipe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// conn connects when a pipeline is sent, and again after a failure. It belongs to one goroutine.
type conn struct {
	server  resp.Options
	net     net.Conn
	used    bool // it has carried a pipeline
	dialing chan dialed
}

type dialed struct {
	conn net.Conn
	err  error
}

// exchange sends out and reads until done says that all replies have arrived. If an earlier connection turns out to
// be closed, for example because Redis was restarted, exchange connects again at once and sends out once more.
func (c *conn) exchange(deadline time.Time, out []byte, in *buffer, done func([]byte) (bool, error)) error {
	for {
		reused := c.used || c.dialing != nil
		in.b = in.b[:0]
		if err := c.connect(deadline); err != nil {
			return err
		}
		c.used = true
		err := c.roundTrip(deadline, out, in, done)
		if err == nil {
			return nil
		}
		c.close()
		if !reused || len(in.b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// roundTrip takes what has arrived by the deadline, also if this process lacked a processor until after it.
func (c *conn) roundTrip(deadline time.Time, out []byte, in *buffer, done func([]byte) (bool, error)) error {
	if err := c.net.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := c.net.Write(out); err != nil {
		return err
	}
	for late := false; ; {
		if cap(in.b)-len(in.b) < leastRead {
			in.b = slices.Grow(in.b, max(leastRead, cap(in.b)))
		}
		n, err := c.net.Read(in.b[len(in.b):cap(in.b)])
		in.b = in.b[:len(in.b)+n]
		if errors.Is(err, os.ErrDeadlineExceeded) && !late {
			// Once the deadline is over, Read no longer looks whether there is something to read.
			late, err = true, c.net.SetReadDeadline(time.Now().Add(lastLook))
		}
		if err != nil {
			return err
		}
		whole, err := done(in.b)
		if err != nil {
			return err
		}
		if whole {
			return nil
		}
	}
}

const (
	// leastRead is the least space for a read, in bytes.
	leastRead = 16 << 10
	// lastLook is the time for reading what has already arrived.
	lastLook = time.Millisecond
)

// connect waits for a connection until the deadline.
func (c *conn) connect(deadline time.Time) error {
	if c.net != nil {
		return nil
	}
	select {
	case d := <-c.dialing: // dialled for a pipeline that has given up since
		if c.dialing, c.net = nil, d.conn; d.err == nil {
			return nil
		}
	default:
	}
	if c.dialing == nil {
		c.dialing = make(chan dialed, 1)
		go c.dial(c.dialing)
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case d := <-c.dialing:
		c.dialing, c.net = nil, d.conn
		return d.err
	case <-timer.C:
		return fmt.Errorf("redis: connecting: %w", os.ErrDeadlineExceeded)
	}
}

func (c *conn) dial(result chan<- dialed) {
	link, err := resp.Dial(context.Background(), c.server)
	if err != nil {
		result <- dialed{err: err}
		return
	}
	result <- dialed{conn: link.Conn}
}

// close forgets the connection. An error of Close is dropped, because the failure that led to it was reported.
func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
	}
	if c.dialing != nil {
		go func(dialing <-chan dialed) {
			if d := <-dialing; d.conn != nil {
				_ = d.conn.Close()
			}
		}(c.dialing)
	}
	c.net, c.dialing, c.used = nil, nil, false
}
