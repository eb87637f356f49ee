package raffle

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// Change moves the times of a raffle and returns it with a position at or past the commit. It locks the raffle as a close
// does, so no bid is under way meanwhile (W3, W6). Errors: ErrUnknown, ErrClosed, ErrStarted, ErrEndsFirst, ErrOver,
// ErrUnavailable (nothing was done), and primary.ErrUnknownOutcome, after which the same change may be repeated.
func (s *Store) Change(ctx context.Context, id int64, c Change) (Raffle, string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	var changed int64
	var found []writedb.RaffleStateRow
	lsn, err := s.admins.Transact(ctx,
		primary.Step{SQL: writedb.LockRaffleRow, Args: []any{id}},
		primary.Step{SQL: writedb.LockRaffle, Args: []any{id}},
		primary.Step{SQL: writedb.ChangeRaffle, Args: []any{c.StartsAt, c.EndsAt, id}, Read: primary.Affected(&changed)},
		primary.Step{SQL: writedb.RaffleState, Args: []any{id}, Read: primary.RowsInto(&found, pgx.RowToStructByPos[writedb.RaffleStateRow])})
	switch {
	case err == nil && len(found) == 0:
		err = ErrUnknown
	case err == nil && changed == 0:
		err = whyNotChanged(found[0], c)
	}
	if err != nil {
		return Raffle{}, "", fmt.Errorf("change raffle %d: %w", id, err)
	}
	r := found[0]
	return Raffle{ID: r.ID, ProductID: r.ProductID, SellerID: r.SellerID, StartsAt: r.StartsAt, EndsAt: r.EndsAt,
		ClosedAt: r.ClosedAt, ClosingPrice: r.ClosingPrice}, lsn, nil
}

func whyNotChanged(r writedb.RaffleStateRow, c Change) error {
	starts, ends := r.StartsAt, r.EndsAt
	if c.StartsAt != nil {
		starts = *c.StartsAt
	}
	if c.EndsAt != nil {
		ends = *c.EndsAt
	}
	switch {
	case r.Over:
		return ErrClosed
	case r.Started && !starts.Equal(r.StartsAt):
		return ErrStarted
	case !ends.After(starts):
		return ErrEndsFirst
	}
	return ErrOver
}
