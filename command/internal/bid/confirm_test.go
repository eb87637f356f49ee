package bid_test

import (
	"context"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// W1: a bid or a cancellation whose commit did not wait for the synchronous standby, for example because of a restart,
// is shown to a retry only once the standby has it.
func TestARetryShowsOnlyWhatTheStandbyHas_W1(t *testing.T) {
	first := testenv.StartPostgres(t)
	fixture.Fill(t, first)
	standby := first.StartStandby(t)
	s := newStore(t, first)
	keyed := newBid(fixture.Open, 1, "key")
	placed, cancelled := place(t, s, keyed), place(t, s, newBid(fixture.Open, 1, ""))
	if _, err := s.Cancel(t.Context(), fixture.Open, cancelled.Placed.ID, 1); err != nil {
		t.Fatal(err)
	}
	standby.Pause(t)
	first.SetSynchronous(t, testenv.StandbyName) // as if both commits had been cut off from their wait
	soon := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		t.Cleanup(cancel)
		return ctx
	}
	if results, err := s.Place(soon(), []bid.Bid{keyed}); err == nil && results[0].Err == nil {
		t.Error("a bid is shown that the standby may lack")
	}
	if _, err := s.Cancel(soon(), fixture.Open, cancelled.Placed.ID, 1); err == nil {
		t.Error("a cancellation is shown that the standby may lack")
	}
	standby.Resume(t)
	testenv.Eventually(t, 20*time.Second, "both are shown", func() bool {
		results, err := s.Place(soon(), []bid.Bid{keyed})
		if err != nil || results[0].Err != nil {
			return false
		}
		if r := results[0]; !r.Replayed || r.Placed.ID != placed.Placed.ID {
			t.Errorf("%+v", r)
		}
		_, err = s.Cancel(soon(), fixture.Open, cancelled.Placed.ID, 1)
		return err == nil
	})
}
