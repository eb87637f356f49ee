package bid_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func ofSize(size int) bid.Bid {
	b := newBid(fixture.Open, 1, "")
	b.Size = int16(size)
	return b
}

func sizesIn(t testing.TB, db *testenv.Database) (n int) {
	t.Helper()
	if err := super(t, db).QueryRow(t.Context(), "SELECT count(DISTINCT size) FROM bids").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// W7: a raffle has bids of MaxSizes sizes at most, from all users and instances together. Bids on these sizes are placed.
func TestSizesOfARaffleAreBounded_W7(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db)
	var batch []bid.Bid
	for size := 1; size < bid.MaxSizes; size++ {
		batch = append(batch, ofSize(size), ofSize(size))
	}
	results, err := s.Place(t.Context(), batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("W7: bid %d: %v", i, r.Err)
		}
	}
	// There is room for one more.
	one := place(t, s, ofSize(1)).Placed
	keyed := ofSize(1000)
	keyed.Key = "k"
	for i, want := range expectEach(t, s, []bid.Bid{ofSize(2), keyed, ofSize(1001), ofSize(1000), ofSize(1002), ofSize(3), ofSize(1001)},
		nil, nil, bid.ErrTooManySizes, nil, bid.ErrTooManySizes, nil, bid.ErrTooManySizes) {
		t.Errorf("W7: bid %d of the batch: %v", i, want)
	}
	another := newStore(t, db)
	for i, want := range expectEach(t, another, []bid.Bid{ofSize(2), ofSize(1001), ofSize(1000), ofSize(1002)},
		nil, bid.ErrTooManySizes, nil, bid.ErrTooManySizes) {
		t.Errorf("W7: bid %d of another instance: %v", i, want)
	}
	if r := place(t, newStore(t, db), keyed); r.Err != nil || !r.Replayed {
		t.Errorf("W2: a bid that was placed is answered again: %+v", r)
	}
	for _, r := range append(results[:2], bid.Result{Placed: one}) {
		if _, err := s.Cancel(t.Context(), fixture.Open, r.Placed.ID, 1); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range expectEach(t, s, []bid.Bid{ofSize(1001), ofSize(1)}, nil, bid.ErrTooManySizes) {
		t.Errorf("W7: bid %d after all of a size were cancelled: %v", i, want)
	}
	if n := sizesIn(t, db); n != bid.MaxSizes {
		t.Errorf("W7: %d sizes", n)
	}
}

// expectEach places bids in one batch and returns the unexpected errors by their places.
func expectEach(t *testing.T, s *bid.Store, bids []bid.Bid, want ...error) map[int]error {
	t.Helper()
	results, err := s.Place(t.Context(), bids)
	if err != nil {
		t.Fatal(err)
	}
	wrong := map[int]error{}
	for i, r := range results {
		if !errors.Is(r.Err, want[i]) || (r.Err == nil) != (want[i] == nil) {
			wrong[i] = r.Err
		}
	}
	return wrong
}

// W7: concurrent transactions of several instances add no more sizes than transactions one after the other.
func TestSizesAreBoundedWithoutARace_W7(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	var all sync.WaitGroup
	for n := range 4 {
		s := newStore(t, db)
		for k := range 2 {
			all.Go(func() {
				for size := 1 + 2*n + k; size <= 400; size += 8 {
					for {
						results, err := s.Place(t.Context(), []bid.Bid{ofSize(size)})
						if err != nil {
							t.Error(err)
							return
						}
						if !errors.Is(results[0].Err, bid.ErrLocked) {
							break
						}
					}
				}
			})
		}
	}
	all.Wait()
	if n := sizesIn(t, db); n != bid.MaxSizes {
		t.Errorf("W7: %d sizes", n)
	}
}
