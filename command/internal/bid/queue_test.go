package bid

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// orderedWriter gives out ids in the order in which it sees bids. Each statement takes a moment, and a raffle
// is locked for its first tries.
type orderedWriter struct {
	neverAway
	t      *testing.T
	mu     sync.Mutex
	id     int64
	inside map[int64]bool
	tries  map[int64]int
}

func (w *orderedWriter) Place(_ context.Context, bids []Bid) ([]Result, error) {
	w.mu.Lock()
	mine := map[int64]bool{}
	for _, b := range bids {
		mine[b.RaffleID] = true
	}
	locked := map[int64]bool{}
	for id := range mine {
		if w.inside[id] {
			w.t.Errorf("raffle %d is in two batches", id)
		}
		w.inside[id] = true
		w.tries[id]++
		locked[id] = w.tries[id]%5 == 1 // now and then
	}
	w.mu.Unlock()
	runtime.Gosched() // so that other bids may come during the statement
	w.mu.Lock()
	defer w.mu.Unlock()
	results := make([]Result, len(bids))
	for i, b := range bids {
		if locked[b.RaffleID] {
			results[i].Err = ErrLocked
			continue
		}
		w.id++
		results[i].Placed = Placed{Bid: b, ID: w.id}
	}
	for id := range mine {
		w.inside[id] = false
	}
	return results, nil
}

// W5: the bids of a raffle are stored in the order in which they entered the queue, across batches, overlap
// and locks, and no raffle is in two batches at once.
func TestBidsKeepTheirOrder_W5(t *testing.T) {
	w := &orderedWriter{t: t, inside: map[int64]bool{}, tries: map[int64]int{}}
	l := testLimits
	l.Lanes, l.Batch, l.Queue, l.Overlap = 4, 8, 1000, 100*time.Microsecond
	b := NewBatcher(w, l, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	const raffles, bids = 5, 60
	var entered [raffles][]*waiting
	var wg sync.WaitGroup
	for n := range raffles * bids {
		wait := &waiting{bid: Bid{RaffleID: int64(n % raffles)}, since: time.Now(), result: make(chan Result, 1)}
		entered[n%raffles] = append(entered[n%raffles], wait)
		batch, err := b.queue.enter(wait, l.Batch, l.Queue)
		if err != nil {
			t.Fatal(err)
		}
		if batch != nil {
			wg.Go(func() { b.run(batch) })
		}
	}
	wg.Wait()
	for raffle, line := range entered {
		last := int64(0)
		for i, wait := range line {
			r := <-wait.result
			if r.Err != nil || r.Placed.ID <= last {
				t.Fatalf("raffle %d, bid %d: %+v after %d", raffle, i, r, last)
			}
			last = r.Placed.ID
		}
	}
}

// lockedWriter refuses all bids of raffle 1.
type lockedWriter struct {
	neverAway
	mu    sync.Mutex
	tried int // bids of raffle 1
}

func (w *lockedWriter) Place(_ context.Context, bids []Bid) ([]Result, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	results := make([]Result, len(bids))
	for i, b := range bids {
		if b.RaffleID == 1 {
			results[i].Err = ErrLocked
			w.tried++
		}
	}
	return results, nil
}

// W6: a raffle that stays locked costs one bid per try. Its bids take no places from other raffles, and beyond a
// bound they are refused at once.
func TestLockedBidsWaitApart_W6(t *testing.T) {
	w := &lockedWriter{}
	l := testLimits
	l.Queue = 100
	b := NewBatcher(w, l, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	errs := make(chan error, 300)
	for range 300 {
		go func() {
			_, err := b.Place(context.Background(), Bid{RaffleID: 1})
			errs <- err
		}()
	}
	for range 200 {
		if _, err := b.Place(t.Context(), Bid{RaffleID: 2}); err != nil {
			t.Errorf("another raffle: %v", err)
		}
	}
	for range 300 {
		if err := <-errs; !errors.Is(err, ErrLocked) && !errors.Is(err, ErrBusy) {
			t.Error(err)
		}
	}
	if w.tried > 300 {
		t.Errorf("%d bids were sent for a locked raffle", w.tried)
	}
	testenv.Eventually(t, 5*time.Second, "nothing is left", b.queue.empty)
}

type panickingWriter struct {
	neverAway
	calls chan struct{}
}

func (w panickingWriter) Place(context.Context, []Bid) ([]Result, error) {
	w.calls <- struct{}{}
	panic("a fault of ours")
}

// After a panic the batch ends and every caller has an answer.
func TestAPanicLeaksNothing_W7(t *testing.T) {
	w := panickingWriter{calls: make(chan struct{}, 100)}
	b := NewBatcher(w, testLimits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	defer b.Close()
	all := make(chan map[int32]error, 1)
	placeAll(b, 50, func(e map[int32]error) { all <- e })
	for price, err := range <-all {
		if !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrBusy) {
			t.Errorf("bid %d: %v", price, err)
		}
	}
	// The results of a batch are given before it leaves the queue.
	testenv.Eventually(t, 5*time.Second, "the batches have left the queue", b.queue.empty)
}
