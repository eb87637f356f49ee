package bid_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// lockRaffle locks the open raffle against bids until the returned function is called.
func lockRaffle(t testing.TB, server fixture.Server) (unlock func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; UPDATE raffles SET ends_at = ends_at WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// W1: bids that were answered as placed survive kill -9 of the server. W2: after a retry with the same keys every bid
// is there once, whether or not the first answer arrived.
func TestPlacedBidsSurviveKill_W1_W2(t *testing.T) {
	server := testenv.StartPostgres(t)
	fixture.Fill(t, server)
	s := newStore(t, server)
	place(t, s, newBid(fixture.Open, fixture.Users, "")) // so that the raffle has the size
	const clients = 8
	var placed [clients][]bid.Result
	var asked [clients][]bid.Bid
	var total atomic.Int64
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := 0; ; n++ {
				b := newBid(fixture.Open, int64(c+1), fmt.Sprintf("key-%d", n))
				asked[c] = append(asked[c], b)
				results, err := s.Place(t.Context(), []bid.Bid{b})
				if err != nil {
					return
				}
				placed[c] = append(placed[c], results[0])
				total.Add(1)
			}
		})
	}
	testenv.Eventually(t, 30*time.Second, "some hundred bids are placed", func() bool { return total.Load() > 300 })
	server.Kill(t)
	wg.Wait()
	server.Start(t)
	var sum int64
	for c := range clients {
		for n, b := range asked[c] {
			var again bid.Result
			testenv.EventuallyNoError(t, 10*time.Second, "the server answers", func() error {
				results, err := s.Place(t.Context(), []bid.Bid{b})
				if err == nil {
					again = results[0]
				}
				return err
			})
			if n < len(placed[c]) && (!again.Replayed || again.Placed != placed[c][n].Placed) {
				t.Errorf("W1: %+v was answered and is %+v after the crash", placed[c][n], again)
			}
			if again.Err != nil {
				t.Errorf("%+v: %v", b, again.Err)
			}
			sum++
		}
	}
	if n := fixture.Count(t, server, "SELECT count(*) FROM bids WHERE idempotency_key IS NOT NULL"); n != sum {
		t.Errorf("W2: %d bids for %d keys", n, sum)
	}
}

// W1: while the commit is not confirmed, the client is not told that the bid was placed. W2: a later retry finds the
// bid.
func TestUnconfirmedCommit_W1_W2(t *testing.T) {
	server := testenv.StartPostgres(t)
	fixture.Fill(t, server)
	s := newStore(t, server)
	place(t, s, newBid(fixture.Open, 1, ""))
	server.Exec(t, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
	server.Exec(t, "SELECT pg_reload_conf()")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	b := newBid(fixture.Open, 1, "k")
	// Sessions read the setting between two statements, a little after the reload.
	var err error
	for n := 0; err == nil; n++ {
		b.Key = fmt.Sprintf("k%d", n)
		_, err = s.Place(ctx, []bid.Bid{b})
	}
	if !errors.Is(err, bid.ErrUnknownOutcome) {
		t.Fatalf("got %v", err)
	}
	server.Exec(t, "ALTER SYSTEM RESET synchronous_standby_names")
	server.Exec(t, "SELECT pg_reload_conf()")
	testenv.EventuallyNoError(t, 10*time.Second, "the retry gets its bid", func() error {
		results, err := s.Place(t.Context(), []bid.Bid{b})
		if err == nil {
			err = results[0].Err
		}
		return err
	})
	if n := fixture.Count(t, server, "SELECT count(*) FROM bids WHERE idempotency_key = $1", b.Key); n != 1 {
		t.Errorf("%d bids under the key", n)
	}
}

// W2: whatever the interleaving of cancellations and retries, a key has one bid, and every answer under it is the
// same as the first.
func TestCancelRacesRetries_W2(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db)
	place(t, s, newBid(fixture.Open, 2, "")) // so that the raffle keeps the size
	for round := range 60 {
		b := newBid(fixture.Open, 1, fmt.Sprintf("round-%d", round))
		first := place(t, s, b)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Cancel(t.Context(), b.RaffleID, first.Placed.ID, b.UserID); err != nil {
				t.Error(err)
			}
		})
		for range 4 {
			wg.Go(func() {
				results, err := s.Place(t.Context(), []bid.Bid{b, b})
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range results {
					if r.Err != nil || !r.Replayed || r.Placed != first.Placed {
						t.Errorf("round %d: got %+v, want %+v again", round, r, first.Placed)
					}
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM bids WHERE user_id = 1"); n != 0 {
		t.Errorf("%d bids left after all were cancelled", n)
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM cancelled_bids"); n != 60 {
		t.Errorf("%d cancelled bids, want 60", n)
	}
}

// W2: batches with the same keys in opposite orders wait for each other, but never deadlock.
func TestBatchesWithTheSameKeys_W2(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	db.Exec(t, "ALTER DATABASE "+db.Name+" SET deadlock_timeout = '5ms'")
	s := newStore(t, db)
	place(t, s, newBid(fixture.Open, 2, "")) // so that the raffle has the size
	const rounds, keys = 10, 200
	for round := range rounds {
		up, down := make([]bid.Bid, keys), make([]bid.Bid, keys)
		for n := range keys {
			up[n] = newBid(fixture.Open, 1, fmt.Sprintf("%d-%d", round, n))
			down[keys-1-n] = up[n]
		}
		var wg sync.WaitGroup
		for _, batch := range [][]bid.Bid{up, down} {
			wg.Go(func() {
				results, err := s.Place(t.Context(), batch)
				if err != nil {
					t.Error(err)
				}
				for _, r := range results {
					if r.Err != nil {
						t.Error(r.Err)
					}
				}
			})
		}
		wg.Wait()
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM bids WHERE user_id = 1"); n != rounds*keys {
		t.Errorf("%d bids for %d keys", n, rounds*keys)
	}
}

// W3: no bid is committed after its raffle's close or says that it was made later.
func TestNoBidAfterTheClose_W3(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db)
	place(t, s, newBid(fixture.Open, 1, "")) // so that the raffle has the size, whose first bids wait for each other
	var placed atomic.Int64
	placed.Add(1)
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			for {
				results, err := s.Place(t.Context(), []bid.Bid{newBid(fixture.Open, int64(c+1), "")})
				switch {
				case err != nil:
					t.Error(err)
					return
				case errors.Is(results[0].Err, bid.ErrLocked):
					continue
				case errors.Is(results[0].Err, bid.ErrNotOpen):
					return
				case results[0].Err != nil:
					t.Error(results[0].Err)
					return
				}
				placed.Add(1)
			}
		})
	}
	testenv.Eventually(t, 30*time.Second, "bids are placed", func() bool { return placed.Load() > 200 })
	// Closed by hand. The trigger sets the time and the price itself, after the bids under way.
	db.Exec(t, "UPDATE raffles SET closed_at = now() - interval '1 hour', closing_price = 1 WHERE id = 1")
	atClose := fixture.Count(t, db, "SELECT count(*) FROM bids") // all that were committed before this
	wg.Wait()
	if n := fixture.Count(t, db, "SELECT count(*) FROM bids"); n != atClose || n != placed.Load() {
		t.Errorf("%d bids at the close, %d later, %d answered", atClose, n, placed.Load())
	}
	late := fixture.Count(t, db, `SELECT count(*) FROM bids b JOIN raffles r ON r.id = b.raffle_id
		WHERE b.created_at > r.closed_at OR r.closing_price IS DISTINCT FROM 1000`)
	if late != 0 {
		t.Errorf("%d bids say that they were made after the close", late)
	}
}
