package bid

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// batchWriter records the batches it is given; while hold is open it answers none.
type batchWriter struct {
	neverAway
	mu      sync.Mutex
	batches [][]Bid
	entered chan struct{}
	hold    chan struct{}
	fail    func([]Bid) error
}

func (w *batchWriter) Place(_ context.Context, bids []Bid) ([]Result, error) {
	w.mu.Lock()
	w.batches = append(w.batches, append([]Bid(nil), bids...))
	w.mu.Unlock()
	w.entered <- struct{}{}
	<-w.hold
	if w.fail != nil {
		if err := w.fail(bids); err != nil {
			return nil, err
		}
	}
	results := make([]Result, len(bids))
	for i, b := range bids {
		results[i].Placed = Placed{Bid: b, ID: int64(b.Price)}
	}
	return results, nil
}

// neverAway is the part of a Writer whose primary always takes writes.
type neverAway struct{}

func (neverAway) Away(time.Time) bool { return false }

func newBatchWriter() *batchWriter {
	return &batchWriter{entered: make(chan struct{}, 1000), hold: make(chan struct{})}
}

var testLimits = Limits{Lanes: 1, Batch: 100, Queue: 50, Wait: time.Minute, Try: time.Minute, Overlap: time.Minute}

// placeAll places bids of prices 1 to n at once and returns their errors by price.
func placeAll(b *Batcher, n int, done func(map[int32]error)) {
	errs := make(map[int32]error)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for price := range int32(n) {
		wg.Go(func() {
			r, err := b.Place(context.Background(), Bid{RaffleID: 1, Size: 270, Price: price + 1})
			if err == nil && r.Placed.ID != int64(price+1) {
				err = errors.New("the result of another bid")
			}
			mu.Lock()
			defer mu.Unlock()
			errs[price+1] = err
		})
	}
	go func() { wg.Wait(); done(errs) }()
}

// waitQueued waits until n bids are queued behind the one under way.
func waitQueued(t *testing.T, b *Batcher, n int) {
	t.Helper()
	testenv.Eventually(t, 5*time.Second, "the bids are queued", func() bool { return b.queue.length() == n })
}

func TestALoneBidGoesAtOnceAndTheRestTogether(t *testing.T) {
	w := newBatchWriter()
	b := NewBatcher(w, testLimits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	all := make(chan map[int32]error, 2)
	placeAll(b, 1, func(e map[int32]error) { all <- e })
	<-w.entered // the first bid is sent at once, without waiting for others
	placeAll(b, 40, func(e map[int32]error) { all <- e })
	waitQueued(t, b, 40)
	close(w.hold)
	for range 2 {
		for price, err := range <-all {
			if err != nil {
				t.Errorf("bid %d: %v", price, err)
			}
		}
	}
	if len(w.batches) != 2 || len(w.batches[0]) != 1 || len(w.batches[1]) != 40 {
		t.Fatalf("%d batches", len(w.batches))
	}
}

// W4: the queue is bounded. A bid that does not fit is refused at once, and a bid that waited too long is not tried.
func TestFullAndLateBidsAreRefused_W4(t *testing.T) {
	w := newBatchWriter()
	var mu sync.Mutex
	now := time.Unix(0, 0)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	b := NewBatcher(w, Limits{Lanes: 1, Batch: 100, Queue: 10, Wait: time.Second, Try: time.Minute, Overlap: time.Minute}, clock, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	all := make(chan map[int32]error, 2)
	placeAll(b, 1, func(e map[int32]error) { all <- e })
	<-w.entered
	placeAll(b, 10, func(e map[int32]error) { all <- e })
	waitQueued(t, b, 10)
	if !b.Full(1) || b.Full(2) {
		t.Error("a raffle that fills the queue, and another one: only the first is refused")
	}
	if _, err := b.Place(t.Context(), Bid{RaffleID: 1}); !errors.Is(err, ErrBusy) {
		t.Errorf("a bid too many: %v", err)
	}
	mu.Lock()
	now = now.Add(2 * time.Second)
	mu.Unlock()
	close(w.hold)
	for range 2 {
		errs := <-all
		for price, err := range errs {
			if late := len(errs) == 10; errors.Is(err, ErrBusy) != late {
				t.Errorf("bid %d: %v", price, err)
			}
		}
	}
	if len(w.batches) != 1 {
		t.Errorf("late bids were tried: %d batches", len(w.batches))
	}
}

func TestOneBadBidFailsAlone(t *testing.T) {
	w := newBatchWriter()
	bad := &pgconn.PgError{Code: "22P05"} // a character that the database can't take
	w.fail = func(bids []Bid) error {
		for _, b := range bids {
			if b.Price == 13 {
				return bad
			}
		}
		return nil
	}
	close(w.hold)
	b := NewBatcher(w, testLimits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	all := make(chan map[int32]error, 1)
	placeAll(b, 40, func(e map[int32]error) { all <- e })
	for price, err := range <-all {
		if errors.Is(err, bad) != (price == 13) {
			t.Errorf("bid %d: %v", price, err)
		}
	}
}

// If the database can't be reached, a batch fails once, not once for every half of it.
func TestAnAbsentDatabaseIsNotStormed_W4(t *testing.T) {
	w := newBatchWriter()
	w.fail = func([]Bid) error { return ErrUnavailable }
	b := NewBatcher(w, testLimits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	all := make(chan map[int32]error, 2)
	placeAll(b, 1, func(e map[int32]error) { all <- e })
	<-w.entered
	placeAll(b, 40, func(e map[int32]error) { all <- e })
	waitQueued(t, b, 40)
	close(w.hold)
	for range 2 {
		for price, err := range <-all {
			if !errors.Is(err, ErrUnavailable) {
				t.Errorf("bid %d: %v", price, err)
			}
		}
	}
	if len(w.batches) != 2 {
		t.Errorf("%d statements for two batches", len(w.batches))
	}
}

// W2: the Batcher never repeats a batch that may have been committed.
func TestAnUnknownOutcomeIsFinal_W2(t *testing.T) {
	w := newBatchWriter()
	w.fail = func([]Bid) error { return ErrUnknownOutcome }
	b := NewBatcher(w, testLimits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	all := make(chan map[int32]error, 2)
	placeAll(b, 1, func(e map[int32]error) { all <- e })
	<-w.entered
	placeAll(b, 20, func(e map[int32]error) { all <- e })
	waitQueued(t, b, 20)
	close(w.hold)
	for range 2 {
		for price, err := range <-all {
			if !errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("bid %d: %v", price, err)
			}
		}
	}
	if len(w.batches) != 2 {
		t.Errorf("%d statements for two batches", len(w.batches))
	}
}

// W6: a stuck statement, for example on a slow disk, holds up other raffles only for a moment.
func TestAStuckStatementIsOvertaken_W6(t *testing.T) {
	w := newBatchWriter()
	l := testLimits
	l.Overlap = time.Millisecond
	b := NewBatcher(w, l, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	done := make(chan error, 2)
	for _, raffle := range []int64{1, 2} {
		go func() {
			_, err := b.Place(context.Background(), Bid{RaffleID: raffle})
			done <- err
		}()
		select {
		case <-w.entered: // while the first is still held
		case <-time.After(5 * time.Second):
			t.Error("the second statement waits for the first")
		}
	}
	close(w.hold)
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
