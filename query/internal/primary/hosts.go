package primary

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Deadlines. A frozen server accepts a connection and then answers nothing, a busy one answers late.
const (
	connectTime = 2 * time.Second
	answerTime  = time.Second
)

// host is one server of a connection string.
type host struct{ config *pgx.ConnConfig }

func (h host) String() string {
	return net.JoinHostPort(h.config.Host, strconv.Itoa(int(h.config.Port)))
}

// hosts takes a connection string apart. It ignores target_session_attrs, because each host is asked whether it takes
// writes.
func hosts(url string) ([]host, error) {
	all, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	all.ConnectTimeout, all.ValidateConnect = connectTime, nil
	all.RuntimeParams["application_name"] = "query-watch"
	all.RuntimeParams["statement_timeout"] = strconv.FormatInt(answerTime.Milliseconds(), 10)
	// With sslmode=prefer a host comes twice, with TLS and without.
	ways := append([]*pgconn.FallbackConfig{{Host: all.Host, Port: all.Port, TLSConfig: all.TLSConfig}}, all.Fallbacks...)
	var list []host
	for i, way := range ways {
		if i > 0 && way.Host == ways[i-1].Host && way.Port == ways[i-1].Port {
			last := list[len(list)-1].config
			last.Fallbacks = append(last.Fallbacks, way)
			continue
		}
		one := all.Copy()
		one.Host, one.Port, one.TLSConfig, one.Fallbacks = way.Host, way.Port, way.TLSConfig, nil
		list = append(list, host{one})
	}
	return list, nil
}

// node is a host's answer. The timeline is 0 for a standby; started is when the host's server was started, in
// microseconds since the Unix epoch by its own clock.
type node struct {
	host     host
	conn     *pgx.Conn
	system   uint64
	timeline uint32
	started  int64
	err      error
}

func (n node) close() {
	if n.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = n.conn.Close(ctx) // the connection has only asked, so an error does not matter
}

// down says whether it is certain that no primary runs on the host.
func (n node) down() bool {
	var refused *pgconn.PgError
	switch {
	case n.err == nil:
		return n.timeline == 0
	case errors.As(n.err, &refused):
		return refused.Code == "57P03" // cannot_connect_now: it starts or stops
	}
	return errors.Is(n.err, syscall.ECONNREFUSED)
}

// silent says that an attempt has ended without any answer: the host is frozen or cut off, or has no address.
func silent(err error) bool {
	var unknown *net.DNSError
	return pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &unknown) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.ETIMEDOUT)
}

// identity asks which node this is. The name of a WAL file begins with the timeline, in hexadecimal.
const identity = `SELECT system_identifier, CASE WHEN pg_is_in_recovery() THEN 0
	ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END,
	(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint FROM pg_control_system()`

func (h host) ask(ctx context.Context) node {
	n := node{host: h}
	conn, err := pgx.ConnectConfig(ctx, h.config.Copy())
	if err != nil {
		n.err = fmt.Errorf("connect to %s: %w", h, err)
		return n
	}
	n.conn = conn
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	var system int64
	if err := conn.QueryRow(ctx, identity).Scan(&system, &n.timeline, &n.started); err != nil {
		n.timeline, n.err = 0, fmt.Errorf("identity of %s: %w", h, err)
	}
	n.system = uint64(system)
	return n
}

// askAll asks hosts at once. The connections of the answers are the caller's.
func askAll(ctx context.Context, list []host) []node {
	answers := make(chan node, len(list))
	for _, h := range list {
		go func() { answers <- h.ask(ctx) }()
	}
	var nodes []node
	for range list {
		nodes = append(nodes, <-answers)
	}
	return nodes
}

// best is the node that takes writes on the highest timeline, if one takes writes.
func best(nodes []node) (b node, ok bool) {
	for _, n := range nodes {
		if n.err == nil && n.timeline > b.timeline {
			b, ok = n, true
		}
	}
	return b, ok
}
