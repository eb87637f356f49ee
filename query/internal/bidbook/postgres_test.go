package bidbook

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// R6: a count that takes too long is ended by the server, within the budget, and is known by that.
func TestR6TooManyBidsToCountAreNotAFailureOfThePath(t *testing.T) {
	db := testenv.NewDatabase(t)
	pool, err := NewPool(db.URL("query"), 1, SQLBudget)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE bids"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), SQLBudget)
	defer cancel()
	_, _, err = NewPostgres(pool, PathPrimary, new(primary.Watch)).Raffle(ctx, 1, lsn.Position{})
	if !errors.Is(err, errTooMuch) || verdict(t.Context(), err) != unknown {
		t.Errorf("the detail: %v", err)
	}
	cheap, cancel := context.WithTimeout(t.Context(), SQLBudget)
	defer cancel()
	_, _, err = NewPostgres(pool, PathPrimary, new(primary.Watch)).Bids(cheap, BidsQuery{RaffleID: 1, Size: 270, Order: Newest, Limit: 1}, lsn.Position{})
	if err == nil || verdict(t.Context(), err) != failed {
		t.Errorf("a cheap read: %v", err)
	}
}
