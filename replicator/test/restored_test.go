package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// P10: the primary is replaced by an older copy of itself that then grows past the checkpoint.
func TestARestoredPrimaryThatHasGrownIsNotResumedFrom_P10(t *testing.T) {
	t.Parallel()
	for _, slots := range []bool{true, false} {
		t.Run(fmt.Sprintf("slots %v", slots), func(t *testing.T) {
			t.Parallel()
			primary := testenv.StartPostgres(t)
			s := newSystem(t, primary)
			s.bids(1000)
			s.replicate()
			s.reached()
			copied := primary.Backup(t)
			s.bids(1000)
			lost := s.reached()
			s.Stop(t)
			primary.Stop(t)
			primary.Restore(t, copied)
			if !slots {
				primary.RemoveSlots(t)
			}
			primary.Start(t)
			s.connect()
			s.bids(10)
			for s.lsn() <= lost.LSN {
				s.exec("SELECT pg_switch_wal()")
				s.bids(100)
			}
			watch := s.sightings()
			started := time.Now()
			s.Start(t)
			c := s.equal()
			if c.Epoch == lost.Epoch {
				t.Errorf("resumed: %s", c)
			}
			for _, seen := range watch.since(started) {
				if seen.Epoch == lost.Epoch {
					t.Errorf("a lost history was served: %s", seen.Checkpoint)
				}
			}
			s.because(status.PrimaryForgot)
		})
	}
}

// P10: the primary is replaced by an older copy of itself whose log still ends before the checkpoint.
func TestARestoredPrimaryThatIsBehindIsNotResumedFrom_P10(t *testing.T) {
	t.Parallel()
	primary := testenv.StartPostgres(t)
	s := newSystem(t, primary)
	s.bids(1000)
	s.replicate()
	s.reached()
	copied := primary.Backup(t)
	s.exec("SELECT pg_logical_emit_message(true, 'elsewhere', repeat('x', 8 << 20))") // more WAL than a rebuild writes
	s.bids(1000)
	lost := s.reached()
	s.Stop(t)
	primary.Stop(t)
	primary.Restore(t, copied)
	primary.Start(t)
	s.connect()
	s.bids(10)
	watch, started := s.sightings(), time.Now()
	s.Start(t)
	s.because(status.PrimaryBehind)
	if c := s.equal(); c.Epoch == lost.Epoch || c.LSN >= lost.LSN {
		t.Errorf("%s after %s", c, lost)
	}
	s.unserved(watch, started, lost.Epoch)
}
