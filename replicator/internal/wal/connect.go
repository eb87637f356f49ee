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

// The deadlines of every connection to PostgreSQL (P13). connectTime bounds the connect with TLS and login, because a
// frozen server accepts the TCP connection and then answers nothing. AnswerTime bounds a short statement; the caller
// puts it into the statement's context.
const (
	connectTime = 2 * time.Second
	AnswerTime  = 3 * time.Second
)

// A connection that is cut off silently ends within about 5 s: by its keepalives if it waits, and by TCP_USER_TIMEOUT
// if it writes (Linux manual, tcp(7)).
const unacknowledged = 5 * time.Second

// sessionLimits end the transaction of a replicator that is stopped for good, between two statements or within a
// statement whose rows nobody takes. They are long because a rebuild with a slow Redis needs time: when the server has
// sent all rows of a COPY, ten megabytes of them, 200,000 bids, may still have to be written. A successor does not wait
// for them, because it ends the copies of the stopped replicator.
var sessionLimits = map[string]string{"idle_in_transaction_session_timeout": "5min", "tcp_user_timeout": "300000"}

var dialer = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3},
	Control:         setUserTimeout,
}

// Server is one server that a connection string names.
type Server struct{ config *pgx.ConnConfig }

// Servers returns a Server for each host and port of a connection string, in order. It ignores target_session_attrs,
// because Find decides which server is the primary.
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

// Open opens an ordinary connection. params are settings of its session.
func (s Server) Open(ctx context.Context, params map[string]string) (*pgx.Conn, error) {
	config := s.config.Copy()
	pg.Refresh(&config.Config)
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

// Close ends a connection. It waits a second at most for a server that does not answer.
func Close(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

// bound sets the deadlines of a configuration and removes the limits that the server or the role sets for its sessions.
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

// liftLimits removes transaction_timeout, which servers before 17 do not know. It would end a copy, and the transaction
// whose snapshot is exported.
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
