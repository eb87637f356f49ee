package raffle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// Cause says who closes a raffle.
type Cause string

// The causes of a close, as the metrics name them.
const (
	ByAdmin Cause = "admin"
	ByTime  Cause = "time"
)

const (
	limit = 2 * time.Second // of opening or closing a raffle
	// rowWait is how long a close waits for the bids under way. Then it has been overtaken by new ones, and
	// keeps all bids out for at most gateWait (see LockAllRaffles).
	rowWait   = "50ms"
	gateWait  = "300ms"
	closeWait = "1s" // for the rest
)

// Store opens and closes raffles in the primary.
type Store struct {
	pool   *pgxpool.Pool
	closed *prometheus.CounterVec
	gates  prometheus.Counter
	late   prometheus.Histogram
}

// NewStore makes a store and registers its metrics.
func NewStore(pool *pgxpool.Pool, reg prometheus.Registerer) *Store {
	s := &Store{pool: pool,
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "raffles_closed_total", Help: "Raffles closed, by time or by an admin."}, []string{"cause"}),
		gates: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "raffle_close_gates_total", Help: "Closes that kept all bids out for a moment to get their turn."}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "raffle_close_lateness_seconds", Help: "Time from a raffle's end to its close by time.",
			Buckets: []float64{.01, .025, .05, .1, .15, .2, .3, .5, .75, 1, 2, 5, 30, 300}}),
	}
	reg.MustRegister(s.closed, s.gates, s.late)
	return s
}

// Add opens a raffle and returns it with a position at or past the commit, T-X/X. Errors: ErrUnknownProduct,
// ErrUnknownSeller, ErrOver, ErrUnavailable (nothing was done) and ErrUnknownOutcome.
func (s *Store) Add(ctx context.Context, n New) (Raffle, string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	var row writedb.Raffle
	position, err := s.transact(ctx, func(q *writedb.Queries) (err error) {
		row, err = q.AddRaffle(ctx, writedb.AddRaffleParams{ProductID: n.ProductID, SellerID: n.SellerID, StartsAt: n.StartsAt, EndsAt: n.EndsAt})
		return err
	})
	if err != nil {
		return Raffle{}, "", fmt.Errorf("open a raffle of product %d: %w", n.ProductID, notAdded(err))
	}
	return Raffle(row), position, nil
}

// errAfterCommit: the transaction has committed, and its position was not seen.
var errAfterCommit = errors.New("after the commit")

// transact runs a transaction and returns the position of its commit.
func (s *Store) transact(ctx context.Context, do func(*writedb.Queries) error) (position string, err error) {
	err = s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		// READ COMMITTED: each statement sees what was committed before it, waits of the one before included.
		err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, func(tx pgx.Tx) error {
			q := writedb.New(tx)
			if err := do(q); err != nil {
				return err
			}
			return q.BeforeCommit(ctx)
		})
		if err != nil {
			return err
		}
		if position, err = writedb.New(conn).CommitPosition(ctx); err != nil {
			return fmt.Errorf("%w: %w", errAfterCommit, err)
		}
		return nil
	})
	return position, err
}

func notAdded(err error) error {
	var reported *pgconn.PgError
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return ErrOver
	case errors.Is(err, errAfterCommit):
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	case errors.As(err, &reported) && reported.ConstraintName == "raffles_product_id_fkey":
		return ErrUnknownProduct
	case errors.As(err, &reported) && reported.ConstraintName == "raffles_seller_id_fkey":
		return ErrUnknownSeller
	case !primary.Passing(err):
		return err
	case reported != nil || pgconn.SafeToRetry(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

// Close closes a raffle, or finds it closed, and returns it with a position at or past the commit. Errors:
// ErrUnknown, ErrNotStarted and ErrUnavailable; closing again is always safe.
func (s *Store) Close(ctx context.Context, id int64, cause Cause) (r Raffle, position string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	r, closed, position, err := s.close(ctx, id, false)
	if overtaken(err) {
		s.gates.Inc()
		r, closed, position, err = s.close(ctx, id, true)
	}
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = ErrUnknown
	case err != nil && primary.Passing(err):
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err == nil && r.ClosedAt == nil:
		err = ErrNotStarted
	}
	if err != nil {
		return Raffle{}, "", fmt.Errorf("close raffle %d: %w", id, err)
	}
	if closed {
		s.count(r, cause)
	}
	return r, position, nil
}

// close reports whether it was this call that closed the raffle.
func (s *Store) close(ctx context.Context, id int64, gate bool) (r Raffle, closed bool, position string, err error) {
	position, err = s.transact(ctx, func(q *writedb.Queries) error {
		if err := lock(ctx, q, id, gate); err != nil {
			return err
		}
		n, err := q.CloseRaffle(ctx, id)
		if err != nil {
			return err
		}
		row, err := q.GetRaffle(ctx, id)
		r, closed = Raffle(row), n > 0
		return err
	})
	return r, closed, position, err
}

func lock(ctx context.Context, q *writedb.Queries, id int64, gate bool) error {
	wait := rowWait
	if gate {
		wait = gateWait
	}
	// lock_timeout would not do: it bounds the wait for each bid, and there is always another one.
	if err := q.SetStatementTimeout(ctx, wait); err != nil {
		return err
	}
	if gate {
		if err := q.LockAllRaffles(ctx); err != nil {
			return err
		}
	}
	if err := q.LockRaffle(ctx, id); err != nil {
		return err
	}
	return q.SetStatementTimeout(ctx, closeWait)
}

func overtaken(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "57014" // query_canceled, here by its timeout
}

func (s *Store) count(r Raffle, cause Cause) {
	s.closed.WithLabelValues(string(cause)).Inc()
	if cause == ByTime {
		s.late.Observe(r.ClosedAt.Sub(r.EndsAt).Seconds())
	}
}
