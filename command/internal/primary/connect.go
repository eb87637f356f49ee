package primary

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

const (
	// connectTimeout bounds one attempt to connect, which tries all hosts at the same time.
	connectTimeout = time.Second
	// othersTime is how long the other hosts have to answer once one host has answered that it takes writes, because
	// another one may take writes on a higher timeline. A host that does not answer costs this time.
	othersTime = 50 * time.Millisecond
)

var (
	errClosed    = errors.New("the server takes no writes")
	errOvertaken = errors.New("the server writes on a timeline that a promotion has ended")
)

// identity is where a connection keeps what its server is. A server that takes writes stays on its timeline.
const identity = "identity"

func identityOf(conn *pgx.Conn) pg.Identity {
	is, _ := conn.PgConn().CustomData()[identity].(pg.Identity)
	return is
}

// connect returns a connection to the server that takes writes, of several to the one on the highest timeline. It
// tries all hosts at once, so that a host that does not answer causes hardly any delay.
func (s *Server) connect(ctx context.Context, hosts []*pgx.ConnConfig) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	answers := make(chan answer, len(hosts))
	for _, h := range hosts {
		go func() { answers <- s.ask(ctx, h) }()
	}
	best, left := s.choose(answers, len(hosts))
	go func() { // the others are not needed
		cancel()
		for range left {
			closeConn((<-answers).conn)
		}
	}()
	if best.err == nil {
		s.away.end()
	}
	return best.conn, best.err
}

// answer is a connection to a host that takes writes, or why there is none.
type answer struct {
	conn *pgx.Conn
	err  error
}

// ask connects to a host and asks what it is.
func (s *Server) ask(ctx context.Context, host *pgx.ConnConfig) answer {
	conn, err := connectWithoutCancel(ctx, host)
	if err != nil {
		return answer{nil, err}
	}
	is, err := pg.Identify(ctx, conn)
	if err == nil {
		s.timelines.Note(is)
		conn.PgConn().CustomData()[identity] = is
		err = s.refuse(is)
	}
	if err != nil {
		closeConn(conn)
		return answer{nil, fmt.Errorf("%s: %w", pg.Address(host), err)}
	}
	return answer{conn, nil}
}

var errNoCancel = errors.New("a commit that waits for a standby must not be cancelled")

// connectWithoutCancel makes a connection that is given up without a cancel request, for which pgx would dial again. A cancelled
// commit stops waiting for the standby: readers of the primary see it, although a promotion may lose it. Statements end
// by their own timeout, which the wait of a commit does not have.
func connectWithoutCancel(ctx context.Context, host *pgx.ConnConfig) (*pgx.Conn, error) {
	var made atomic.Bool
	one, dial := host.Copy(), host.DialFunc
	pg.Refresh(&one.Config)
	one.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if made.Load() {
			return nil, errNoCancel
		}
		return dial(ctx, network, address)
	}
	defer made.Store(true)
	return pgx.ConnectConfig(ctx, one)
}

// refuse says why a server must not be used, if so.
func (s *Server) refuse(is pg.Identity) error {
	switch {
	case is.Closed:
		return errClosed
	case s.timelines.Overtaken(is):
		return errOvertaken
	}
	return nil
}

// choose takes answers until all have come or othersTime has passed since the first good one. It returns the best of
// them and how many are still to come.
func (s *Server) choose(answers <-chan answer, hosts int) (best answer, left int) {
	var errs []error
	var late <-chan time.Time
	for left = hosts; left > 0; {
		select {
		case a := <-answers:
			left--
			if a.err != nil {
				errs = append(errs, a.err)
			} else if best = s.better(best, a); late == nil {
				late = time.After(othersTime)
			}
			continue
		case <-late:
		}
		break
	}
	if best.conn != nil && s.Overtaken(best.conn) { // by a server that is closed
		closeConn(best.conn)
		best, errs = answer{}, append(errs, errOvertaken)
	}
	if best.conn == nil {
		best.err = errors.Join(errs...)
	}
	return best, left
}

// better closes one of two connections and returns the other. The first one is kept unless it was overtaken.
func (s *Server) better(first, second answer) answer {
	switch {
	case first.conn == nil:
		return second
	case s.Overtaken(first.conn):
		closeConn(first.conn)
		return second
	}
	closeConn(second.conn)
	return first
}

// closeTimeout is how long a connection may take to say goodbye.
const closeTimeout = 500 * time.Millisecond

// closeConn closes a connection, if there is one, in the background.
func closeConn(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		_ = conn.Close(ctx) // the connection is given up, so an error changes nothing
	}()
}
