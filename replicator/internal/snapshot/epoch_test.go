package snapshot

import (
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

func TestAnEpochIsNeverUsedTwice_P4(t *testing.T) {
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", Epoch: 2000, Token: "a"}
	for _, c := range []struct {
		name       string
		cp         *readmodel.Checkpoint
		mark, slot string
		want       readmodel.Epoch
	}{
		{"clock", nil, "", "x", 1000},
		{"checkpoint", &cp, "", "x", 2001},
		{"slot", &cp, "", "pyramid_3000", 3001},
		{"mark", &cp, mark(4000, "a", 1), "pyramid_3000", 4001},
	} {
		if got := NextEpoch(wal.Unnamed, c.cp, []wal.Slot{{Name: c.slot}}, c.mark, time.UnixMilli(1000)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
