package raffle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

const (
	// The advisory lock of the one active Closer is "pyramid" in ASCII, then 1. The replicator's lock ends in 0.
	closerLock  = 0x7079_7261_6d69_6401
	look        = 100 * time.Millisecond
	reconnect   = 500 * time.Millisecond
	rest        = 500 * time.Millisecond // how long a raffle that could not be closed is left alone
	closesAside = 4                      // closes at the same time
	// The most raffles in one look, so that the connection that holds the lock is used again soon, however long each
	// close waits.
	closesAtMax = 64
)

// errOvertaken ends a session on a server after another one was promoted: only the new primary's lock counts.
var errOvertaken = errors.New("another server was promoted")

// Closer closes raffles when their time is over. Any number may run, but only the one whose session holds the lock
// works. When that session ends, another Closer takes over within seconds.
type Closer struct {
	// Spans begins a trace of each close; nil: none. Set it before Run.
	Spans *tracing.Tracer

	server *primary.Server
	store  *Store
	log    *slog.Logger
	active prometheus.Gauge
	away   rate.Sometimes // logging of the same trouble
	left   int            // sessions that ended without a line since the last line
}

// NewCloser registers its metrics.
func NewCloser(server *primary.Server, store *Store, log *slog.Logger, reg prometheus.Registerer) *Closer {
	c := &Closer{server: server, store: store, log: log, away: rate.Sometimes{First: 1, Interval: time.Minute},
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "command_closer_active", Help: "1: this instance closes raffles; 0: another one does, or none."}),
	}
	reg.MustRegister(c.active)
	return c
}

// Run works until ctx ends and returns ctx's error. After any other error it tries again.
func (c *Closer) Run(ctx context.Context) error {
	for {
		err := c.session(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.tell(ctx, err)
		if err := sleep.For(ctx, reconnect); err != nil {
			return err
		}
	}
}

// tell logs that a session has ended. While the primary is away each attempt fails, perhaps each time with other words, so
// only the first is logged, and one a minute. A session that worked ends the silence.
func (c *Closer) tell(ctx context.Context, err error) {
	c.left++
	c.away.Do(func() {
		c.log.WarnContext(ctx, "the closer's session ended", "error", err, "left_out", c.left-1)
		c.left = 0
	})
}

// session waits for the lock and works as long as its connection holds it.
func (c *Closer) session(ctx context.Context) (err error) {
	conn, err := c.server.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		err = errors.Join(err, conn.Close(closing))
	}()
	q := writedb.New(conn)
	for {
		var mine bool
		err := within(ctx, func(ctx context.Context) (err error) {
			mine, err = q.TryCloserLock(ctx, closerLock)
			return err
		})
		if err != nil {
			return fmt.Errorf("closer's lock: %w", err)
		}
		switch {
		case c.server.Overtaken(conn):
			return errOvertaken
		case mine:
			return c.work(ctx, conn)
		}
		if err := sleep.For(ctx, reconnect); err != nil {
			return err
		}
	}
}

func (c *Closer) work(ctx context.Context, conn *pgx.Conn) error {
	c.log.InfoContext(ctx, "this instance closes raffles")
	c.away, c.left = rate.Sometimes{First: 1, Interval: time.Minute}, 0
	c.active.Set(1)
	defer c.active.Set(0)
	return c.closeOnTime(ctx, conn)
}

// closeOnTime looks for due raffles over the connection that holds the lock, so an answer shows that the lock is
// still held. If a look finds a full page, the next one continues after it, so that raffles that can't be closed do
// not hide the raffles after them.
func (c *Closer) closeOnTime(ctx context.Context, conn *pgx.Conn) error {
	q := writedb.New(conn)
	page := writedb.DueRafflesParams{Most: closesAtMax}
	resting := make(map[int64]time.Time)
	for {
		var due []writedb.DueRafflesRow
		err := within(ctx, func(ctx context.Context) (err error) {
			due, err = q.DueRaffles(ctx, page)
			return err
		})
		if err != nil {
			return fmt.Errorf("due raffles: %w", err)
		}
		if c.server.Overtaken(conn) {
			return errOvertaken
		}
		c.closeAll(ctx, due, resting)
		if len(due) == closesAtMax {
			last := due[len(due)-1]
			page.AfterEnds, page.AfterID = last.EndsAt, last.ID
			continue
		}
		page.AfterEnds, page.AfterID = time.Time{}, 0
		if err := sleep.For(ctx, look); err != nil {
			return err
		}
	}
}

// closeAll closes the due raffles. If a raffle can't be closed, closeAll leaves it out for a moment (resting), so that
// it does not delay the others.
func (c *Closer) closeAll(ctx context.Context, due []writedb.DueRafflesRow, resting map[int64]time.Time) {
	now := time.Now()
	maps.DeleteFunc(resting, func(_ int64, until time.Time) bool { return now.After(until) })
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(closesAside)
	for _, d := range due {
		mu.Lock()
		_, rests := resting[d.ID]
		mu.Unlock()
		if rests || ctx.Err() != nil {
			continue
		}
		g.Go(func() error {
			if err := c.close(ctx, d.ID); err != nil && !errors.Is(err, ErrNotOver) {
				c.log.WarnContext(ctx, "raffle not closed yet", "raffle", d.ID, "ends_at", d.EndsAt, "error", err)
				mu.Lock()
				defer mu.Unlock()
				resting[d.ID] = now.Add(rest)
			}
			return nil
		})
	}
	_ = g.Wait() // none returns an error
}

func (c *Closer) close(ctx context.Context, id int64) error {
	ctx, span := c.Spans.Begin(ctx, "close raffle")
	defer span.End()
	_, _, err := c.store.Close(ctx, id, ByTime)
	span.Fail(err)
	return err
}

// within bounds a statement whose server has become unreachable. TCP alone would wait for minutes.
func within(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, primary.RequestTime)
	defer cancel()
	return do(ctx)
}
