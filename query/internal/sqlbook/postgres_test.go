package sqlbook

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// R6: the server ends a count that takes too long, within the budget, and the error is ErrTooMuch.
func TestTooManyBidsToCountAreNotAFailureOfThePath_R6(t *testing.T) {
	db := testenv.NewDatabase(t)
	pool, err := NewPool(db.URL("query"), 1, bidbook.SQLBudget)
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
	ctx, cancel := context.WithTimeout(t.Context(), bidbook.SQLBudget)
	defer cancel()
	_, _, err = New(pool, bidbook.PathPrimary, new(primary.Watch)).Raffle(ctx, 1, lsn.Position{})
	if !errors.Is(err, bidbook.ErrTooMuch) {
		t.Errorf("the detail: %v", err)
	}
	cheap, cancel := context.WithTimeout(t.Context(), bidbook.SQLBudget)
	defer cancel()
	_, _, err = New(pool, bidbook.PathPrimary, new(primary.Watch)).Bids(cheap, bidbook.BidsQuery{RaffleID: 1, Size: 270, Order: bidbook.Newest, Limit: 1}, lsn.Position{})
	if err == nil || errors.Is(err, bidbook.ErrBusy) {
		t.Errorf("a cheap read: %v", err)
	}
}

// R5: the parts of a detail are of one snapshot.
func TestADetailIsOfOneSnapshot_R5(t *testing.T) {
	db := testenv.NewDatabase(t)
	pool, err := NewPool(db.URL("query"), 2, bidbook.ScanBudget) // however busy the machine is
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	conn, err := pgx.Connect(t.Context(), db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for _, sql := range []string{
		`INSERT INTO users (id, login, password_hash) OVERRIDING SYSTEM VALUE VALUES (1, 'one', 'x')`,
		`INSERT INTO products (id, name, model, color, category, image_url, release_price, release_date) OVERRIDING SYSTEM VALUE
			SELECT n, 'p', 'm', 'c', 'k', '', 1, '2020-01-01' FROM generate_series(1, 2) n`,
		`INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at) OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, now(), now() + interval '1 day')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	stop, stopped := context.WithCancel(t.Context())
	flipped := make(chan error, 1)
	go func() {
		var err error
		for stop.Err() == nil && err == nil {
			_, err = conn.Exec(context.Background(), `BEGIN; UPDATE raffles SET product_id = 2;
				INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (1, 1, 270, 1, now()); COMMIT;
				BEGIN; UPDATE raffles SET product_id = 1; DELETE FROM bids; COMMIT`)
		}
		flipped <- err
	}()
	reader := New(pool, bidbook.PathPrimary, new(primary.Watch))
	seen := map[int]int{}
	// On a busy machine one of the two may have no turn for a while.
	for patience := time.Now().Add(20 * time.Second); seen[0]+seen[1] < 500 || seen[0]*seen[1] == 0 && time.Now().Before(patience); {
		d, _, err := reader.Raffle(t.Context(), 1, lsn.Position{})
		if err != nil {
			t.Fatal(err)
		}
		if int(d.Product.ID) != 1+len(d.Sizes) {
			t.Errorf("R5: product %d with %d sizes", d.Product.ID, len(d.Sizes))
		}
		seen[len(d.Sizes)]++
	}
	stopped()
	if err := <-flipped; err != nil || len(seen) != 2 {
		t.Errorf("seen %v, %v", seen, err)
	}
}
