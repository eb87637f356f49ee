package snapshot

import (
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// NextEpoch is past every epoch that anything still names: the checkpoint, which may be nil, the slots, the mark of a
// rebuild. The clock, in milliseconds, makes it new even if all of these are gone, or are those of a restored
// backup. So a reader of live events that remembers an epoch never takes another epoch for it.
func NextEpoch(cp *readmodel.Checkpoint, slots []wal.Slot, mark string, now time.Time) readmodel.Epoch {
	e := readmodel.Epoch(max(now.UnixMilli(), 1))
	if cp != nil {
		e = max(e, cp.Epoch+1)
	}
	for _, slot := range slots {
		e = max(e, readmodel.Epoch(wal.SlotEpoch(slot.Name))+1)
	}
	return max(e, MarkEpoch(mark)+1)
}

// The mark of a rebuild: epoch, token of the builder and a running number, so each is different.
func mark(e readmodel.Epoch, token string, n int) string { return fmt.Sprintf("%d %s %d", e, token, n) }

// MarkEpoch is the epoch that a mark names; 0 if it names none.
func MarkEpoch(mark string) (e readmodel.Epoch) {
	if _, err := fmt.Sscanf(mark, "%d ", &e); err != nil {
		return 0
	}
	return e
}
