package bid_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func newStore(t testing.TB, server fixture.Server) *bid.Store {
	t.Helper()
	return newCountedStore(t, server, prometheus.NewRegistry())
}

func newCountedStore(t testing.TB, server fixture.Server, reg prometheus.Registerer) *bid.Store {
	t.Helper()
	p := fixture.Primary(t, server)
	s := bid.NewStore(p, 8, reg)
	fixture.Warm(t, p)
	return s
}

func newBid(raffle, user int64, key string) bid.Bid {
	return bid.Bid{RaffleID: raffle, UserID: user, Size: 270, Price: 1000, Quantity: 1, Key: key}
}

// place places one bid and returns its result; a failure of the whole batch fails the test.
func place(t testing.TB, s *bid.Store, b bid.Bid) bid.Result {
	t.Helper()
	results, err := s.Place(t.Context(), []bid.Bid{b})
	if err != nil {
		t.Fatal(err)
	}
	return results[0]
}

func TestPlaceBatch(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	reg := prometheus.NewRegistry()
	s := newCountedStore(t, db, reg)
	earlier := place(t, s, newBid(fixture.Open, 1, "earlier"))
	other := newBid(fixture.Open, 1, "earlier")
	other.Price++
	cases := []struct {
		bid      bid.Bid
		err      error
		replayed bool
	}{
		{bid: newBid(fixture.Open, 1, "")},
		{bid: newBid(fixture.Closed, 1, ""), err: bid.ErrNotOpen},
		{bid: newBid(fixture.Closed, 1, "k"), err: bid.ErrNotOpen},
		{bid: newBid(fixture.NotStarted, 1, ""), err: bid.ErrNotOpen},
		{bid: newBid(fixture.Over, 1, "k"), err: bid.ErrNotOpen},
		{bid: newBid(fixture.Unknown, 1, "k"), err: bid.ErrUnknownRaffle},
		{bid: newBid(fixture.Open, 1000, "k"), err: bid.ErrUnknownUser},
		{bid: newBid(fixture.Open, 1, "earlier"), replayed: true},
		{bid: other, err: bid.ErrKeyReused},
		{bid: newBid(fixture.Open, 2, "k")},
		{bid: newBid(fixture.Open, 2, "k"), replayed: true}, // the bid before it
		{bid: newBid(fixture.Open, 3, "k")},                 // another user's key
		{bid: newBid(fixture.Open, 1, "")},
	}
	bids := make([]bid.Bid, 0, len(cases))
	for _, c := range cases {
		bids = append(bids, c.bid)
	}
	results, err := s.Place(t.Context(), bids)
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cases {
		r := results[i]
		if !errors.Is(r.Err, c.err) || r.Replayed != c.replayed {
			t.Errorf("bid %d %+v: got %+v, want error %v, replayed %v", i, c.bid, r, c.err, c.replayed)
		}
		if r.Err == nil && (r.Placed.ID == 0 || r.Placed.Bid != c.bid || time.Since(r.Placed.CreatedAt) > time.Minute || r.LSN == "") {
			t.Errorf("bid %d %+v: got %+v", i, c.bid, r)
		}
	}
	if results[7].Placed != earlier.Placed || results[10].Placed != results[9].Placed {
		t.Errorf("replays %+v and %+v differ from the first answers", results[7].Placed, results[10].Placed)
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM bids"); n != 5 {
		t.Errorf("%d bids in the table, want 5", n)
	}
	families, err := reg.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("outcomes counted: %v, %v", families, err)
	}
	counted := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		if n := m.GetCounter().GetValue(); n > 0 {
			counted[m.GetLabel()[0].GetValue()] = n
		}
	}
	want := map[string]float64{"placed": 5, "replayed": 2, "not_open": 4, "unknown_raffle": 1, "unknown_user": 1, "key_reused": 1}
	if !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}

// W2: a key gives the first answer again after the close of its raffle, also when its bid was cancelled.
func TestAKeyOutlivesTheClose_W2(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db)
	kept, cancelled := newBid(fixture.Open, 1, "kept"), newBid(fixture.Open, 1, "cancelled")
	first := map[string]bid.Placed{"kept": place(t, s, kept).Placed, "cancelled": place(t, s, cancelled).Placed}
	if _, err := s.Cancel(t.Context(), fixture.Open, first["cancelled"].ID, 1); err != nil {
		t.Fatal(err)
	}
	db.Exec(t, "UPDATE raffles SET closed_at = clock_timestamp() WHERE id = $1", fixture.Open)
	for _, b := range []bid.Bid{kept, cancelled} {
		if r := place(t, s, b); r.Err != nil || !r.Replayed || r.Placed != first[b.Key] {
			t.Errorf("%s: %+v, want %+v again", b.Key, r, first[b.Key])
		}
	}
}

func TestCancel(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db)
	mine := place(t, s, newBid(fixture.Open, 1, "")).Placed.ID
	kept := place(t, s, newBid(fixture.Open, 1, "")).Placed.ID
	cancel := func(raffle, id, user int64, want error) {
		t.Helper()
		lsn, err := s.Cancel(t.Context(), raffle, id, user)
		if !errors.Is(err, want) || (err == nil) != (lsn != "") {
			t.Errorf("cancel %d of raffle %d by %d: %q, %v, want %v", id, raffle, user, lsn, err, want)
		}
	}
	cancel(fixture.Open, mine, 2, bid.ErrNotYours)
	cancel(fixture.Open, 1<<40, 1, bid.ErrUnknownBid)
	cancel(fixture.Closed, mine, 1, bid.ErrUnknownBid)
	cancel(fixture.Unknown, mine, 1, bid.ErrUnknownBid)
	cancel(fixture.Open, mine, 1, nil)
	cancel(fixture.Open, mine, 1, nil)
	cancel(fixture.Open, mine, 2, bid.ErrNotYours)
	db.Exec(t, "UPDATE raffles SET closed_at = clock_timestamp() WHERE id = $1", fixture.Open)
	cancel(fixture.Open, kept, 1, bid.ErrNotOpen)
	cancel(fixture.Open, mine, 1, nil)
	if n := fixture.Count(t, db, "SELECT count(*) FROM bids"); n != 1 {
		t.Errorf("%d bids left, want 1", n)
	}
}

// Bids and cancellations while the server is stopped are refused as not done; afterwards bids are placed again.
func TestLostServer(t *testing.T) {
	server := testenv.StartPostgres(t)
	fixture.Fill(t, server)
	s := newStore(t, server)
	place(t, s, newBid(fixture.Open, 1, ""))
	server.Stop(t)
	_, err := s.Place(t.Context(), []bid.Bid{newBid(fixture.Open, 1, "")})
	if !errors.Is(err, bid.ErrUnavailable) || errors.Is(err, bid.ErrUnknownOutcome) { // the transaction never began
		t.Errorf("place: %v", err)
	}
	if _, err = s.Cancel(t.Context(), fixture.Open, 1, 1); !errors.Is(err, bid.ErrUnavailable) {
		t.Errorf("cancel: %v", err)
	}
	server.Start(t)
	testenv.EventuallyNoError(t, 10*time.Second, "bids are placed again", func() error {
		_, err := s.Place(t.Context(), []bid.Bid{newBid(fixture.Open, 1, "")})
		return err
	})
}

// W6: a bid for a raffle whose state is being changed is refused at once, and the other bids of the batch are placed.
func TestLockedRaffle_W6(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	addRaffles(t, db, 101, 1)
	s := newStore(t, db)
	kept := place(t, s, newBid(fixture.Open, 1, ""))
	unlock := lockRaffle(t, db)
	results, err := s.Place(t.Context(), []bid.Bid{newBid(fixture.Open, 1, "k"), newBid(101, 1, "k"), newBid(fixture.Open, 1, "")})
	if err != nil || !errors.Is(results[0].Err, bid.ErrLocked) || results[1].Err != nil || !errors.Is(results[2].Err, bid.ErrLocked) {
		t.Errorf("%+v, %v", results, err)
	}
	// Now both raffles are known to have the size, so another statement takes their locks.
	results, err = s.Place(t.Context(), []bid.Bid{newBid(fixture.Open, 1, "k"), newBid(101, 1, "l")})
	if err != nil || !errors.Is(results[0].Err, bid.ErrLocked) || results[1].Err != nil {
		t.Errorf("no new size: %+v, %v", results, err)
	}
	if _, err := s.Cancel(t.Context(), fixture.Open, kept.Placed.ID, 1); !errors.Is(err, bid.ErrLocked) {
		t.Errorf("cancel: %v", err)
	}
	unlock()
	if r := place(t, s, newBid(fixture.Open, 1, "k")); r.Err != nil || r.Replayed {
		t.Errorf("after the lock: %+v", r)
	}
	if _, err := s.Cancel(t.Context(), fixture.Open, kept.Placed.ID, 1); err != nil {
		t.Errorf("cancel after the lock: %v", err)
	}
}

// addRaffles adds n open raffles.
func addRaffles(t testing.TB, server fixture.Server, first, n int) {
	t.Helper()
	server.Exec(t, `INSERT INTO raffles (id, product_id, seller_id, starts_at, ends_at)
		SELECT i, 1, 1, now() - interval '1 s', now() + interval '1 day' FROM generate_series($1::int, $2::int) i`, first, first+n-1)
}
