package main

import (
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P10: after a standby was promoted, an old primary that still takes writes, stands first in the URL and has all the
// service's connections gets no bid once the first one went to the new primary.
func TestAnOvertakenPrimaryGetsNoBid_P10(t *testing.T) {
	first := testenv.StartPostgres(t)
	fixture.Fill(t, first)
	standby := first.StartStandby(t)
	p := start(t, hosts{first, standby})
	b := startBidders(p, 10)
	b.atLeast(t, 50)
	standby.Promote(t)
	const all = "SELECT count(*) FROM bids WHERE raffle_id = 1"
	was := fixture.Count(t, standby, all)
	testenv.Eventually(t, 20*time.Second, "the new primary has a bid", func() bool { return fixture.Count(t, standby, all) > was })
	b.atLeast(t, 20) // what was under way
	old := fixture.Count(t, first, all)
	b.atLeast(t, 200)
	close(b.stop)
	b.all.Wait()
	if n := fixture.Count(t, first, all); n != old {
		t.Errorf("%d more bids on the old primary", n-old)
	}
	if len(b.refused) != 0 {
		t.Errorf("bids were refused: %v", b.refused)
	}
}
