package session

import (
	"errors"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// P4: two programs promote a node, and the second one makes the slot anew after a commit. A session that decided by the
// first slot does not stream from the second.
func TestASlotThatWasMadeAnewIsNoticed_P4(t *testing.T) {
	server := testenv.StartPostgres(t)
	s := reachIn(t, newReplicator(t, server.URL("replicator")))
	made := func() wal.Slot {
		t.Helper()
		server.Exec(t, "SELECT wal.continue_stream()")
		slots, err := wal.Slots(t.Context(), s.control.conn)
		must(t, err)
		if len(slots) != 1 || slots[0].Name != wal.Unnamed.SlotName(1) {
			t.Fatalf("%+v", slots)
		}
		return slots[0]
	}
	cp := continued(readmodel.Checkpoint{Epoch: 5, Commit: 7}, made(), 1)
	must(t, s.sameSlot(t.Context(), cp))
	server.Exec(t, "SELECT heartbeat()")
	if again := made(); again.ConfirmedLSN <= cp.LSN {
		t.Fatalf("%+v after %s", again, cp.LSN)
	}
	if err := s.sameSlot(t.Context(), cp); !errors.Is(err, errOtherSlot) {
		t.Errorf("another slot: %v", err)
	}
	server.Exec(t, "SELECT pg_drop_replication_slot('pyramid_1')")
	if err := s.sameSlot(t.Context(), cp); !errors.Is(err, errOtherSlot) {
		t.Errorf("no slot: %v", err)
	}
}
