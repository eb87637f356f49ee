package bracket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// conn is a connection that is made when it is needed, and again after a failure. It belongs to one
// goroutine.
type conn struct {
	o       *Options
	net     net.Conn
	used    bool // it has carried a pipeline
	dialing chan dialed
}

type dialed struct {
	conn net.Conn
	err  error
}

// dialTime bounds connecting, which goes on in the background when the lookups that wait for it give up.
const dialTime = 500 * time.Millisecond

// exchange sends out and reads until done says that the answer is whole. A connection that was found
// closed is made anew at once: Redis was restarted, say, since it was used or dialled last.
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

func (c *conn) roundTrip(deadline time.Time, out []byte, in *buffer, done func([]byte) (bool, error)) error {
	if err := c.net.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := c.net.Write(out); err != nil {
		return err
	}
	for {
		if cap(in.b)-len(in.b) < leastRead {
			in.b = slices.Grow(in.b, max(leastRead, cap(in.b)))
		}
		n, err := c.net.Read(in.b[len(in.b):cap(in.b)])
		in.b = in.b[:len(in.b)+n]
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

// leastRead is the least room for a read, in bytes.
const leastRead = 16 << 10

// connect waits for a connection until the deadline.
func (c *conn) connect(deadline time.Time) error {
	if c.net != nil {
		return nil
	}
	select {
	case d := <-c.dialing: // dialled for a lookup that has given up since
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
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	link, err := c.o.Dial(ctx)
	if err == nil {
		if err = c.greet(link); err != nil {
			err = errors.Join(err, link.Close())
			link = nil
		}
	}
	result <- dialed{link, err}
}

// greet says who we are and which database we want.
func (c *conn) greet(link net.Conn) error {
	if err := link.SetDeadline(time.Now().Add(dialTime)); err != nil {
		return err
	}
	var out []byte
	replies := 0
	if c.o.Password != "" {
		args := []string{"AUTH", c.o.Username, c.o.Password}
		if c.o.Username == "" {
			args = []string{"AUTH", c.o.Password}
		}
		out = appendCommand(out, args...)
		replies++
	}
	if c.o.DB != 0 {
		out = appendCommand(out, "SELECT", strconv.Itoa(c.o.DB))
		replies++
	}
	if replies == 0 {
		return nil
	}
	greeting := conn{o: c.o, net: link}
	var in buffer
	var s scanner
	seen := 0
	err := greeting.roundTrip(time.Now().Add(dialTime), out, &in, func(b []byte) (bool, error) {
		for ; seen < replies; seen++ {
			if done, err := s.reply(b); !done || err != nil {
				return false, err
			}
		}
		return true, nil
	})
	r := Replies{rest: in.b}
	for range seen {
		r.status()
	}
	return errors.Join(err, r.err)
}

// close forgets the connection. Its error says nothing that the failure before it didn't.
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
