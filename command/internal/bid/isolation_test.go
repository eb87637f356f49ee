package bid_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func newBatcher(t testing.TB, server fixture.Server) *bid.Batcher {
	t.Helper()
	b := bid.NewBatcher(newStore(t, server), bid.DefaultLimits, time.Now, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	t.Cleanup(b.Close)
	return b
}

// W6: while a transaction that changes a raffle stays open, every instance refuses the raffle's bids in time and
// places the bids of other raffles as usual.
func TestALockedRaffleHarmsNoOther_W6(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	addRaffles(t, db, 101, 20)
	instances := []*bid.Batcher{newBatcher(t, db), newBatcher(t, db)}
	unlock := lockRaffle(t, db)
	var refused, placed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for c := range 40 {
		wg.Go(func() {
			raffle := int64(fixture.Open) // every fourth client
			if c%4 > 0 {
				raffle = int64(101 + c%20)
			}
			for ctx.Err() == nil {
				began := time.Now()
				_, err := instances[c/4%2].Place(t.Context(), newBid(raffle, int64(1+c%9), ""))
				// A statement that waits for the lock would take 1.5 s.
				if took := time.Since(began); took > time.Second || errors.Is(err, bid.ErrLocked) != (raffle == fixture.Open) {
					t.Errorf("raffle %d: %v after %v", raffle, err, took)
					return
				}
				if err != nil {
					refused.Add(1)
				} else {
					placed.Add(1)
				}
			}
		})
	}
	testenv.Eventually(t, 30*time.Second, "both kinds are answered", func() bool { return refused.Load() >= 30 && placed.Load() > 500 })
	stop()
	wg.Wait()
	unlock()
	for _, b := range instances {
		if _, err := b.Place(t.Context(), newBid(fixture.Open, 1, "")); err != nil {
			t.Errorf("after the lock: %v", err)
		}
	}
}

// W6: a row lock, as a change of another column of the raffle takes it, does not hold up bids.
func TestALockedRowConcernsNoBid_W6(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	conn := super(t, db)
	execute(t, conn, "BEGIN; UPDATE raffles SET product_id = product_id WHERE id = 1")
	if _, err := newBatcher(t, db).Place(t.Context(), newBid(fixture.Open, 1, "")); err != nil {
		t.Error(err)
	}
	execute(t, conn, "ROLLBACK")
}

// W3: the state of a raffle can't be changed under a snapshot that is older than the raffle's lock.
func TestAnOldSnapshotClosesNothing_W3(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	if _, err := super(t, db).Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE raffles SET closed_at = now() WHERE id = 1"); err == nil {
		t.Error("closed under REPEATABLE READ")
	}
}
