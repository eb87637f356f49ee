package status

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// P7: the lag is the age, by the primary's clock, of the first heartbeat that is missing. The clock of this process
// does not matter.
func TestLagOfTheReplicator_P7(t *testing.T) {
	now := time.Now().Truncate(time.Microsecond) // as heartbeats have it
	served := readmodel.Checkpoint{Slot: "pyramid_1", Beat: heartbeat.Beat{Number: 5, At: 1}, Delay: 3}
	for _, c := range []struct {
		name  string
		held  readmodel.Checkpoint
		pulse wal.Pulse
		felt  bool
		want  time.Duration
	}{
		{"nothing is missing", served, wal.Pulse{Newest: 5, At: now, Offset: time.Hour}, true, 3 * time.Millisecond},
		{"nothing is missing, and the primary is down", served, wal.Pulse{Newest: 5, At: now.Add(-time.Hour)}, true, 3 * time.Millisecond},
		{"two are missing", served, wal.Pulse{Newest: 7, Behind: 1500 * time.Millisecond, At: now.Add(-time.Second)}, true, 2500 * time.Millisecond},
		{"two are missing, and the primary is down", served, wal.Pulse{Newest: 7, Behind: time.Second, At: now.Add(-time.Hour)}, true, 6 * time.Second},
		{"no primary was seen", served, wal.Pulse{}, false, 3 * time.Millisecond},
		{"the pulse is of before a rebuild", readmodel.Checkpoint{Slot: "pyramid_1", Beat: heartbeat.Beat{Number: 6, At: now.Add(time.Hour - 2*time.Second).UnixMicro()}},
			wal.Pulse{Newest: 7, Behind: 80 * time.Minute, At: now, Offset: time.Hour}, true, 2 * time.Second},
		{"no read model for a minute", readmodel.Checkpoint{}, wal.Pulse{Newest: 7, At: now}, true, time.Minute},
	} {
		b := NewBoard(prometheus.NewRegistry(), func() (wal.Pulse, bool) { return c.pulse, c.felt }, now.Add(-time.Minute))
		b.checkpoint = c.held
		if got := b.lag(now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
