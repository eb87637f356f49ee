package primary

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

const (
	// A connection that was idle for longer is pinged before it is used.
	trustedIdle = time.Second
	// How long the ping, and a ROLLBACK, may take.
	answerTimeout = 300 * time.Millisecond
)

// Conns is a set of connections to the primary that only its owner uses. A lost connection frees its place at once
// and is closed in the background. A pgxpool.Pool would keep the place until pgx has closed the connection, which
// takes up to 15 s if the server does not answer.
type Conns struct {
	server *Server
	hosts  []*pgx.ConnConfig
	places chan struct{} // one for each connection in use
	// private: what is written is not published, so the replicator hears nothing of its transactions.
	private bool

	mu   sync.Mutex
	idle []idleConn // the last one is the most recently used

	open   atomic.Int64
	made   prometheus.Counter
	waited prometheus.Counter
}

type idleConn struct {
	*pgx.Conn
	since time.Time
}

// Private says that what is written over these connections is not published. It returns c.
func (c *Conns) Private() *Conns {
	c.private = true
	return c
}

// Use lends a connection. The error is that of do, or ErrUnavailable if there is no connection. If no server takes
// writes, Use waits for one, but no longer than patience after the primary was lost. If do leaves a transaction open or
// panics, the transaction is rolled back.
func (c *Conns) Use(ctx context.Context, do func(*pgx.Conn) error) error {
	began := time.Now()
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
		return fmt.Errorf("%w: no connection is free: %w", ErrUnavailable, ctx.Err())
	}
	c.waited.Add(time.Since(began).Seconds())
	conn, err := c.take(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	kept := false
	defer func() { c.give(conn, kept) }()
	err = do(conn)
	kept = reusable(conn, err) && !c.server.Overtaken(conn)
	return err
}

// Read is Use for statements that only read. If the connection is lost, do is called again with another one.
func (c *Conns) Read(ctx context.Context, do func(*pgx.Conn) error) error {
	for began := time.Now(); ; {
		err := c.Use(ctx, do)
		if !lost(err) || time.Since(began) >= patience || sleep.For(ctx, lookAgain) != nil {
			return err
		}
	}
}

// take returns an idle connection whose server still answers and was not overtaken, or a new one.
func (c *Conns) take(ctx context.Context) (*pgx.Conn, error) {
	for {
		idle, found := c.pop()
		if !found {
			return c.connect(ctx)
		}
		if !c.server.Overtaken(idle.Conn) && (time.Since(idle.since) < trustedIdle || answers(ctx, idle.Conn)) {
			return idle.Conn, nil
		}
		c.give(idle.Conn, false)
	}
}

// connect makes a connection. If no server takes writes, it waits for one.
func (c *Conns) connect(ctx context.Context) (*pgx.Conn, error) {
	for {
		conn, err := c.server.connect(ctx, c.hosts)
		if err == nil {
			c.open.Add(1)
			c.made.Inc()
			return conn, nil
		}
		if ctx.Err() != nil || !c.server.away.wait(ctx, c.server.search) {
			return nil, err
		}
	}
}

func (c *Conns) pop() (conn idleConn, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) == 0 {
		return idleConn{}, false
	}
	last := len(c.idle) - 1
	conn, c.idle = c.idle[last], c.idle[:last]
	return conn, true
}

func answers(ctx context.Context, conn *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return conn.Ping(ctx) == nil
}

// give takes a connection back. If the connection is not kept, the idle ones are closed too, because the server is
// gone or no longer takes writes.
func (c *Conns) give(conn *pgx.Conn, kept bool) {
	if !kept {
		c.open.Add(-1)
		closeConn(conn)
		c.drop()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, idleConn{conn, time.Now()})
}

// drop closes the idle connections.
func (c *Conns) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, idle := range c.idle {
		c.open.Add(-1)
		closeConn(idle.Conn)
	}
	c.idle = nil
}

// warm opens a connection at each place.
func (c *Conns) warm(ctx context.Context) error {
	conns := make([]*pgx.Conn, 0, cap(c.places))
	defer func() {
		for _, conn := range conns {
			c.give(conn, true)
		}
	}()
	for range cap(c.places) {
		conn, err := c.take(ctx)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	return nil
}

// reusable rolls back a transaction that was left open and says whether the connection can be used again. It can't if
// the error is about the server and not about the statement.
func reusable(conn *pgx.Conn, err error) bool {
	var reported *pgconn.PgError
	switch {
	case conn.IsClosed() || conn.PgConn().IsBusy() || errors.Is(err, errNotBegun):
		return false
	case errors.As(err, &reported) && (Passing(reported) && !conflict(reported) || fatal(reported)):
		return false
	case conn.PgConn().TxStatus() == 'I':
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	_, failed := conn.Exec(ctx, "ROLLBACK")
	return failed == nil && conn.PgConn().TxStatus() == 'I'
}

func (c *Conns) watch(name string, reg prometheus.Registerer) {
	labels := prometheus.Labels{"set": name}
	gauge := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, value))
	}
	gauge("command_primary_connections", "Open connections to the primary.", func() float64 { return float64(c.open.Load()) })
	gauge("command_primary_connections_used", "Connections to the primary in use.", func() float64 { return float64(len(c.places)) })
	gauge("command_primary_connections_max", "Most connections to the primary.", func() float64 { return float64(cap(c.places)) })
	c.made = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "command_primary_connections_made_total", Help: "Connections made to the primary.", ConstLabels: labels})
	c.waited = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "command_primary_wait_seconds_total", Help: "Time spent waiting for a connection to the primary.", ConstLabels: labels})
	reg.MustRegister(c.made, c.waited)
}
