package primary

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

const (
	// readyTimeout is less than what the front door allows a check.
	readyTimeout = 700 * time.Millisecond
	// readyGrace is how long after its last success a failing check still succeeds. Requests outlast a switchover
	// (patience), but if all instances were unready meanwhile, the front door would refuse the requests. The front door
	// checks every second.
	readyGrace = patience + time.Second
)

// Writable returns a check that succeeds if the primary answers and takes writes, or did within readyGrace. The check
// has its own connection, so that a busy service does not count as unready.
func Writable(s *Server) web.Ready {
	c := s.Conns("readiness", 1, answerTimeout)
	var last atomic.Pointer[time.Time] // of the last success; a pointer, so that the time is monotonic
	return func(ctx context.Context) error {
		err := c.writable(ctx)
		if now := time.Now(); err == nil {
			last.Store(&now)
		} else if at := last.Load(); at != nil && now.Sub(*at) < readyGrace {
			return nil
		}
		return err
	}
}

func (c *Conns) writable(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var ok bool
	const sql = "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'"
	err := c.Use(ctx, func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, sql).Scan(&ok); err != nil || !ok {
			return errors.Join(err, conn.Close(ctx))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("primary not reachable: %w", err)
	}
	if !ok {
		return errors.New("primary is read-only")
	}
	return nil
}
