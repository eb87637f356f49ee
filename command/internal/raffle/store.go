package raffle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/idempotency"
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

// closeWait is how long a close waits for another change of the raffle, or for the bids under way.
const closeWait = 250 * time.Millisecond

// Store opens, changes and closes raffles in the primary. Requests of admins and closes by time use separate connections.
type Store struct {
	admins *primary.Conns
	closes *primary.Conns
	closed *prometheus.CounterVec
	late   prometheus.Histogram
}

// NewStore makes a store and registers its metrics.
func NewStore(server *primary.Server, reg prometheus.Registerer) *Store {
	s := &Store{
		admins: server.Conns("admins", 2, closeWait),
		closes: server.Conns("closes", closesAside, closeWait),
		closed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "command_raffles_closed_total", Help: "Raffles closed, by time or by an admin."}, []string{"cause"}),
		late: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "command_raffle_close_lateness_seconds", Help: "Time from a raffle's end to its close by time.",
			Buckets: []float64{.01, .025, .05, .1, .15, .2, .3, .5, .75, 1, 2, 5, 30, 300}}),
	}
	for _, cause := range []Cause{ByTime, ByAdmin} {
		s.closed.WithLabelValues(string(cause))
	}
	reg.MustRegister(s.closed, s.late)
	return s
}

// Add opens a raffle, or returns the one that the same request has opened before. Errors: ErrUnknownProduct,
// ErrUnknownSeller, ErrOver, idempotency.ErrReused, ErrUnavailable (nothing was done) and ErrUnknownOutcome.
func (s *Store) Add(ctx context.Context, n New) (Opened, error) {
	o, err := s.add(ctx, n)
	if err != nil {
		return Opened{}, fmt.Errorf("open a raffle of product %d: %w", n.ProductID, notAdded(err))
	}
	return o, nil
}

func (s *Store) add(ctx context.Context, n New) (o Opened, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	n.EndsAt = n.EndsAt.UTC() // the same time in another zone is the same request
	if n.StartsAt != nil {
		at := n.StartsAt.UTC()
		n.StartsAt = &at
	}
	key, err := idempotency.Of("raffles", n.SellerID, n.Key, n)
	if err != nil {
		return o, err
	}
	var added []writedb.Raffle
	var first idempotency.First
	step := primary.Step{SQL: writedb.AddRaffle, Args: []any{n.ProductID, n.SellerID, n.StartsAt, n.EndsAt},
		Read: primary.RowsInto(&added, pgx.RowToStructByPos[writedb.Raffle])}
	if key.Key != "" {
		step.SQL, step.Args = writedb.AddRaffleOnce, append(step.Args, key.Scope, key.Key)
	}
	o.LSN, err = s.admins.Transact(ctx, key.Once(step, &first)...)
	switch {
	case err != nil:
	case len(added) > 0:
		o.Raffle = Raffle(added[0])
	default:
		if o.Replayed, err = first.Into(key, &o.Raffle); err == nil && !o.Replayed {
			err = ErrOver
		}
	}
	return o, err
}

func notAdded(err error) error {
	var reported *pgconn.PgError
	switch {
	case errors.As(err, &reported) && reported.ConstraintName == "raffles_product_id_fkey":
		return ErrUnknownProduct
	case errors.As(err, &reported) && reported.ConstraintName == "raffles_seller_id_fkey":
		return ErrUnknownSeller
	case errors.Is(err, primary.ErrUnknownOutcome):
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return err
}

// Close closes a raffle, or finds it closed, and returns it with a position at or past the commit. Errors: ErrUnknown,
// ErrNotStarted (by an admin), ErrNotOver (by time) and ErrUnavailable; closing again is always safe.
func (s *Store) Close(ctx context.Context, id int64, cause Cause) (r Raffle, lsn string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	conns, row := s.admins, writedb.LockRaffleRow
	if cause == ByTime {
		conns, row = s.closes, writedb.TryRaffleRow
	}
	// Under READ COMMITTED each statement sees what was committed before it began, also while the previous statement
	// waited for its lock. All statements go in one round trip, so that a service that is stopped or cut off never
	// holds the locks.
	var closed int64
	var found []writedb.Raffle
	lsn, err = conns.Transact(ctx,
		primary.Step{SQL: row, Args: []any{id}},
		primary.Step{SQL: writedb.LockRaffle, Args: []any{id}},
		primary.Step{SQL: writedb.CloseRaffle, Args: []any{id, cause == ByTime}, Read: primary.Affected(&closed)},
		primary.Step{SQL: writedb.GetRaffle, Args: []any{id}, Read: primary.RowsInto(&found, pgx.RowToStructByPos[writedb.Raffle])})
	switch {
	case errors.Is(err, primary.ErrUnknownOutcome): // closing again shows the outcome
		err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	case err == nil && len(found) == 0:
		err = ErrUnknown
	case err == nil && found[0].ClosedAt == nil && cause == ByTime:
		err = ErrNotOver
	case err == nil && found[0].ClosedAt == nil:
		err = ErrNotStarted
	}
	if err != nil {
		return Raffle{}, "", fmt.Errorf("close raffle %d: %w", id, err)
	}
	r = Raffle(found[0])
	if closed > 0 {
		s.count(r, cause)
	}
	return r, lsn, nil
}

func (s *Store) count(r Raffle, cause Cause) {
	s.closed.WithLabelValues(string(cause)).Inc()
	if cause == ByTime {
		s.late.Observe(r.ClosedAt.Sub(r.EndsAt).Seconds())
	}
}
