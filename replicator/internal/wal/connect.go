package wal

import (
	"context"
	"fmt"
	"maps"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// Deadlines of every connection to PostgreSQL (P13). connectTime bounds a connection's whole beginning, with
// TLS and login: a frozen server accepts the TCP connection and then answers nothing. AnswerTime is for a
// short statement, whose context must have it.
const (
	connectTime = 2 * time.Second
	AnswerTime  = 3 * time.Second
)

// A connection that is cut off without a word ends by itself: one that waits by its keepalives, one that
// writes by TCP_USER_TIMEOUT, both within about 5 s (Linux manual, tcp(7)).
const unacknowledged = 5 * time.Second

// sessionLimits are of sessions that may hold a transaction open. If a replicator is stopped for good, they end its
// transaction, be it between two statements or within one whose rows nobody takes. They are long, because a rebuild with a
// slow Redis needs time: the server may have sent all rows of a COPY when ten megabytes of them, 200,000 bids, are still to
// be written. A successor does not wait for them; it ends the copies of the stopped replicator.
var sessionLimits = map[string]string{"idle_in_transaction_session_timeout": "5min", "tcp_user_timeout": "300000"}

var dialer = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3},
	Control:         setUserTimeout,
}

// Server is one server that a connection string names.
type Server struct{ config *pgx.ConnConfig }

// Servers takes a connection string apart: a Server for each host and port, in order. Which of them takes
// writes is for Find to say, so target_session_attrs is ignored.
func Servers(url string) ([]Server, error) {
	all, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("primary URL: %w", err)
	}
	bound(&all.Config)
	var servers []Server
	for _, one := range pg.Hosts(all) {
		servers = append(servers, Server{one})
	}
	return servers, nil
}

// String is host:port.
func (s Server) String() string { return pg.Address(s.config) }

// Open opens an ordinary connection; params are settings of its session.
func (s Server) Open(ctx context.Context, params map[string]string) (*pgx.Conn, error) {
	config := s.config.Copy()
	maps.Copy(config.RuntimeParams, sessionLimits)
	maps.Copy(config.RuntimeParams, params)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s, err)
	}
	return conn, nil
}

// Open opens an ordinary connection to the primary among the servers of a connection string.
func Open(ctx context.Context, url string, params map[string]string) (*pgx.Conn, error) {
	servers, err := Servers(url)
	if err != nil {
		return nil, err
	}
	node, err := Find(ctx, servers, 0)
	if err != nil {
		return nil, err
	}
	return node.Open(ctx, params)
}

// Close ends a connection, and waits for a server that does not answer a second at most.
func Close(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

// bound gives a configuration the deadlines, and the session no limits but those that its owner sets.
func bound(c *pgconn.Config) {
	if c.ConnectTimeout <= 0 || c.ConnectTimeout > connectTime {
		c.ConnectTimeout = connectTime
	}
	c.DialFunc = dialer.DialContext
	c.ValidateConnect = nil
	c.AfterConnect = liftLimits
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"} {
		c.RuntimeParams[name] = "0"
	}
}

// liftLimits lifts a limit that older servers don't know: it would end a copy, and the transaction whose
// snapshot is exported.
func liftLimits(ctx context.Context, conn *pgconn.PgConn) error {
	if major(conn) < 17 {
		return nil
	}
	return conn.Exec(ctx, "SET transaction_timeout = 0").Close()
}

// major is the server's major version, 0 if the server hides it.
func major(conn *pgconn.PgConn) int {
	version := conn.ParameterStatus("server_version")
	n, err := strconv.Atoi(version[:len(version)-len(strings.TrimLeft(version, "0123456789"))])
	if err != nil {
		return 0
	}
	return n
}
