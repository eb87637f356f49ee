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

// Deadlines. A frozen server accepts a connection and then answers nothing.
const (
	connectTime = time.Second
	answerTime  = time.Second
	// After one host has answered that it takes writes, the others have this long to say that they are on
	// a higher timeline. The search for a newer primary finds one that was slower.
	othersTime = 100 * time.Millisecond
)

// host is one server of a connection string.
type host struct{ config *pgx.ConnConfig }

func (h host) String() string {
	return net.JoinHostPort(h.config.Host, strconv.Itoa(int(h.config.Port)))
}

// hosts takes a connection string apart. Which host takes writes is asked, so target_session_attrs is ignored.
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

// node is a host that has answered. Timeline is 0 for a standby.
type node struct {
	host     host
	conn     *pgx.Conn
	system   uint64
	timeline uint32
	err      error
}

func (n node) close() {
	if n.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	_ = n.conn.Close(ctx) // it was only asked
}

// down says that no primary runs there, rather than that nothing is known.
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

// identity asks which node this is. The name of a WAL file begins with the timeline, in hexadecimal.
const identity = `SELECT system_identifier, CASE WHEN pg_is_in_recovery() THEN 0
	ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint END FROM pg_control_system()`

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
	if err := conn.QueryRow(ctx, identity).Scan(&system, &n.timeline); err != nil {
		n.err = fmt.Errorf("identity of %s: %w", h, err)
	}
	n.system = uint64(system)
	return n
}

// askAll asks all hosts at once. The connections of the answers are the caller's.
func askAll(ctx context.Context, list []host) []node {
	answers := make(chan node, len(list))
	for _, h := range list {
		go func() { answers <- h.ask(ctx) }()
	}
	var nodes []node
	var late <-chan time.Time
	for range list {
		select {
		case n := <-answers:
			nodes = append(nodes, n)
			if n.timeline != 0 && late == nil {
				late = time.After(othersTime)
			}
		case <-late:
			go func(missing int) {
				for range missing {
					(<-answers).close()
				}
			}(len(list) - len(nodes))
			return nodes
		}
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
