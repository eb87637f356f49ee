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

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// Deadlines. A frozen server accepts a connection and then answers nothing, a busy one answers late.
const (
	connectTime = 2 * time.Second
	answerTime  = time.Second
)

// host is one server of a connection string.
type host struct{ config *pgx.ConnConfig }

func (h host) String() string {
	return pg.Address(h.config)
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
	var list []host
	for _, one := range pg.Hosts(all) {
		list = append(list, host{one})
	}
	return list, nil
}

// node is a host's answer. The timeline is 0 for a standby; started is when the host's server was started, in
// microseconds since the Unix epoch by its own clock.
type node struct {
	host host
	conn *pgx.Conn
	pg.Identity
	err error
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
	if n.err == nil {
		return n.Timeline == 0
	}
	// With several addresses of a host, one may refuse the connection while the server behind another one answers.
	if code := pg.Code(n.err); code != "" {
		return code == pg.CannotConnectNow
	}
	return errors.Is(n.err, syscall.ECONNREFUSED)
}

// silent says that an attempt has ended without any answer: the host is frozen or cut off, or has no address.
func silent(err error) bool {
	var unknown *net.DNSError
	return pgconn.Timeout(err) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &unknown) ||
		errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.ETIMEDOUT)
}

func (h host) ask(ctx context.Context) node {
	n := node{host: h}
	config := h.config.Copy()
	pg.Refresh(&config.Config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		n.err = fmt.Errorf("connect to %s: %w", h, err)
		return n
	}
	n.conn = conn
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if n.Identity, err = pg.Identify(ctx, conn); err != nil {
		n.err = fmt.Errorf("identity of %s: %w", h, err)
	}
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
		if n.err == nil && n.Timeline > b.Timeline {
			b, ok = n, true
		}
	}
	return b, ok
}
