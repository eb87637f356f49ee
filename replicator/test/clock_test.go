package test

import (
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P7: the lag is honest although the replicator's clock is wrong.
func TestAWrongClockChangesNoLag_P7(t *testing.T) {
	t.Parallel()
	for _, offset := range []string{"5s", "-5s"} {
		t.Run(offset, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t, testenv.StartPostgres(t))
			s.replicate("CLOCK_OFFSET=" + offset)
			s.bids(100)
			s.reached()
			from := s.beaten().Beat.Number
			testenv.Eventually(t, patience, "heartbeats are applied", func() bool {
				c, err := s.checkpoint()
				if err == nil && c.Beat.Number > from && c.Delay > 2000 {
					t.Errorf("a heartbeat took %d ms", c.Delay)
				}
				return err == nil && c.Beat.Number >= from+3
			})
			if lag := time.Duration(s.lag()) * time.Millisecond; lag > 2*time.Second {
				t.Errorf("the lag is %v", lag)
			}
			s.equal()
		})
	}
}
