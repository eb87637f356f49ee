package resp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options says which server to talk to.
type Options struct {
	Network, Addr      string // "tcp" and host:port, or "unix" and a path
	Username, Password string
	DB                 int
	TLS                *tls.Config // nil: none
	DialTimeout        time.Duration
	Buffer             int // bytes of the read buffer
}

// ServerOf returns the Options of a go-redis client's server, with the smallest read buffer.
func ServerOf(o *redis.Options) Options {
	return Options{Network: o.Network, Addr: o.Addr, Username: o.Username, Password: o.Password, DB: o.DB,
		TLS: o.TLSConfig, DialTimeout: o.DialTimeout}
}

// Conn is a connection that never reconnects, so that its state on the server, such as a WATCH, lasts as long as the
// Conn. Writes are not buffered. It is not safe for concurrent use, except that one goroutine may read while another
// writes.
type Conn struct {
	net.Conn
	*Reader
}

// Dial connects, authenticates and selects the database.
func Dial(ctx context.Context, o Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	var d interface {
		DialContext(ctx context.Context, network, address string) (net.Conn, error)
	} = &net.Dialer{}
	if o.TLS != nil {
		d = &tls.Dialer{Config: o.TLS}
	}
	raw, err := d.DialContext(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c := &Conn{Conn: raw, Reader: NewReader(raw, o.Buffer)}
	if err := c.greet(ctx, o); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Conn) greet(ctx context.Context, o Options) error {
	var hello Commands
	switch {
	case o.Username != "":
		hello.Add("AUTH", o.Username, o.Password)
	case o.Password != "":
		hello.Add("AUTH", o.Password)
	}
	if o.DB != 0 {
		hello.Add("SELECT", strconv.Itoa(o.DB))
	}
	if hello.N == 0 {
		return nil
	}
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if _, err := c.Write(hello.Wire); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	for range hello.N {
		reply, err := c.Next()
		if err == nil {
			err = reply.Err()
		}
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
	}
	return c.SetDeadline(time.Time{})
}
