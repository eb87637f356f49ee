package session

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// P11: when the stream brings the message of a change, the primary is asked what is published now.
func TestAnAlteredPublicationIsToldFromAnUnalteredOne_P11(t *testing.T) {
	db := testenv.NewDatabase(t)
	r := newReplicator(t, db.URL("replicator"))
	s := reachIn(t, r)
	published, err := wal.ReadPublished(t.Context(), s.control.conn)
	must(t, err)
	s.state = state{node: s.control.node, published: published}
	must(t, s.state.altered(t.Context(), 3))
	db.Exec(t, "ALTER PUBLICATION pyramid DROP TABLE bids")
	db.Exec(t, "ALTER PUBLICATION pyramid ADD TABLE bids")
	if err := s.state.altered(t.Context(), 3); !errors.Is(err, wal.ErrPublicationChanged) {
		t.Errorf("%v", err)
	}
	// A server may not have sent the message. Then the watch notices the change.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.watch(ctx); !errors.Is(err, wal.ErrPublicationChanged) {
		t.Errorf("the watch: %v", err)
	}
}

// P4: if the server gives up the slot of a rebuild, the rebuild ends at once. A stream notices that by itself.
func TestTheWatchKeepsAnEyeOnTheSlotInUse_P4(t *testing.T) {
	r := newReplicator(t, "postgres://127.0.0.1:1/x")
	var log bytes.Buffer
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	slots := func(lost bool, retained int64) positions {
		return positions{slots: []wal.Slot{{Name: "pyramid_1", RetainedBytes: 7, Lost: true}, {Name: "pyramid_5", Lost: lost, RetainedBytes: retained}}}
	}
	r.board.Applied(readmodel.Checkpoint{Slot: "pyramid_5", Epoch: 5, Token: "a"})
	must(t, r.noticed(slots(true, 900), 1000))
	if got := r.Status(time.Now()).RetainedBytes; got != 900 {
		t.Errorf("retained are %d bytes", got)
	}
	r.board.Update(func(s *status.Status) { s.Rebuild = &status.Progress{Slot: "pyramid_5"} })
	for _, retained := range []int64{500, 501, 900} {
		must(t, r.noticed(slots(false, retained), 1000))
		if got := strings.Count(log.String(), "more than half"); got != min(int(retained-500), 1) {
			t.Errorf("with %d bytes retained there are %d warnings: %s", retained, got, log.String())
		}
	}
	must(t, r.noticed(slots(false, 900), 0)) // there is no limit
	if err := r.noticed(slots(true, 0), 1000); !errors.Is(err, snapshot.ErrSlotLost) {
		t.Errorf("%v", err)
	}
}
