package raffle_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

func TestChange(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db, prometheus.NewRegistry())
	in := func(d time.Duration) *time.Time {
		at := time.Now().Add(d).Truncate(time.Microsecond)
		return &at
	}
	later, soon, past := in(48*time.Hour), in(time.Hour), in(-time.Hour)
	for _, c := range []struct {
		name   string
		id     int64
		change raffle.Change
		want   error
	}{
		{"the end", fixture.Open, raffle.Change{EndsAt: later}, nil},
		{"the end again", fixture.Open, raffle.Change{EndsAt: later}, nil},
		{"an earlier end", fixture.Open, raffle.Change{EndsAt: soon}, nil},
		{"an end in the past", fixture.Open, raffle.Change{EndsAt: in(-time.Second)}, raffle.ErrOver},
		{"an end before the start", fixture.Open, raffle.Change{EndsAt: in(-48 * time.Hour)}, raffle.ErrEndsFirst},
		{"the start of one that has started", fixture.Open, raffle.Change{StartsAt: soon, EndsAt: later}, raffle.ErrStarted},
		{"closed", fixture.Closed, raffle.Change{EndsAt: later}, raffle.ErrClosed},
		{"over, and not closed yet", fixture.Over, raffle.Change{EndsAt: later}, raffle.ErrClosed},
		{"unknown", fixture.Unknown, raffle.Change{EndsAt: later}, raffle.ErrUnknown},
		{"start after the end", fixture.NotStarted, raffle.Change{StartsAt: later, EndsAt: soon}, raffle.ErrEndsFirst},
		{"start and end", fixture.NotStarted, raffle.Change{StartsAt: soon, EndsAt: later}, nil},
		{"start at once", fixture.NotStarted, raffle.Change{StartsAt: past}, nil},
		{"start at once, again", fixture.NotStarted, raffle.Change{StartsAt: past}, nil},
		{"start later", fixture.NotStarted, raffle.Change{StartsAt: soon}, raffle.ErrStarted},
	} {
		r, lsn, err := s.Change(t.Context(), c.id, c.change)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil && (r.ID != c.id || lsn == "" || r.ClosedAt != nil || c.change.EndsAt != nil && !r.EndsAt.Equal(*c.change.EndsAt) ||
			c.change.StartsAt != nil && !r.StartsAt.Equal(*c.change.StartsAt)) {
			t.Errorf("%s: %+v at %q", c.name, r, lsn)
		}
	}
	if n := fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id IN (2, 4) AND ends_at = $1", later); n != 0 {
		t.Errorf("%d closed raffles were changed", n)
	}
}

// W3, W6: a change waits for the bids under way, and then keeps new ones out until it is committed.
func TestAChangeTakesTheLockOfTheRaffle_W3_W6(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	s := newStore(t, db, prometheus.NewRegistry())
	bid, err := pgx.Connect(t.Context(), db.URL("command"))
	if err != nil {
		t.Fatal(err)
	}
	defer bid.Close(context.Background())
	if _, err := bid.Exec(t.Context(), "BEGIN; SELECT pg_advisory_xact_lock_shared(raffle_lock(1))"); err != nil {
		t.Fatal(err)
	}
	ends := time.Now().Add(time.Hour)
	if _, _, err := s.Change(t.Context(), fixture.Open, raffle.Change{EndsAt: &ends}); !errors.Is(err, raffle.ErrUnavailable) {
		t.Errorf("while a bid is under way: %v", err)
	}
	if _, _, err := s.Change(t.Context(), fixture.NotStarted, raffle.Change{EndsAt: &ends}); !errors.Is(err, raffle.ErrEndsFirst) {
		t.Errorf("another raffle: %v", err)
	}
	if _, err := bid.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Change(t.Context(), fixture.Open, raffle.Change{EndsAt: &ends}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// The closer closes a raffle at its new end. A raffle that it has found due, and whose end was moved meanwhile, stays open.
func TestTheCloserKeepsAMovedEnd(t *testing.T) {
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	db.Exec(t, "UPDATE raffles SET ends_at = now() + interval '500 ms' WHERE id = 1")
	s := newStore(t, db, prometheus.NewRegistry())
	later := time.Now().Add(time.Hour)
	if _, _, err := s.Change(t.Context(), fixture.Open, raffle.Change{EndsAt: &later}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Close(t.Context(), fixture.Open, raffle.ByTime); !errors.Is(err, raffle.ErrNotOver) {
		t.Errorf("%v", err)
	}
	closer, _ := newCloser(t, db)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() {
		if err := closer.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	const closed = "SELECT count(*) FROM raffles WHERE id = $1 AND closed_at IS NOT NULL"
	testenv.Eventually(t, 10*time.Second, "what is over is closed", func() bool { return fixture.Count(t, db, closed, fixture.Over) == 1 })
	testenv.Eventually(t, 10*time.Second, "the first end has passed", func() bool {
		return fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id = 4 AND now() > closed_at + interval '600 ms'") == 1
	})
	if fixture.Count(t, db, closed, fixture.Open) != 0 {
		t.Error("closed at the first end")
	}
	soon := time.Now().Add(300 * time.Millisecond)
	if _, _, err := s.Change(t.Context(), fixture.Open, raffle.Change{EndsAt: &soon}); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "closed at the new end", func() bool { return fixture.Count(t, db, closed, fixture.Open) == 1 })
	if n := fixture.Count(t, db, "SELECT count(*) FROM raffles WHERE id = 1 AND closed_at BETWEEN ends_at AND ends_at + interval '1 s'"); n != 1 {
		t.Error("closed at another time")
	}
}
