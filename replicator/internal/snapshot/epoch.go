package snapshot

import (
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// NextEpoch returns an epoch after every epoch that is still named by the checkpoint, which may be nil, by a slot of the
// pipeline or by the mark of a rebuild. It is at least the clock in milliseconds, so that it is new even if all of these
// are gone or are those of a restored backup. So a reader of live events that remembers an epoch never takes another one for it.
func NextEpoch(p wal.Pipeline, cp *readmodel.Checkpoint, slots []wal.Slot, mark string, now time.Time) readmodel.Epoch {
	e := readmodel.Epoch(max(now.UnixMilli(), 1))
	if cp != nil {
		e = max(e, cp.Epoch+1)
	}
	for _, slot := range slots {
		e = max(e, readmodel.Epoch(p.SlotEpoch(slot.Name))+1)
	}
	return max(e, MarkEpoch(mark)+1)
}

// mark is the value of the mark: the epoch, the builder's token and a running number, so that each value is different.
func mark(e readmodel.Epoch, token string, n int) string { return fmt.Sprintf("%d %s %d", e, token, n) }

// MarkEpoch is the epoch in a mark; 0 if there is none.
func MarkEpoch(mark string) (e readmodel.Epoch) {
	if _, err := fmt.Sscanf(mark, "%d ", &e); err != nil {
		return 0
	}
	return e
}
