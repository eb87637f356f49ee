package project

import (
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// P3, P4: what is found at the start, what follows from it, and whether the old epoch is served until the
// next one is there. In the starting point Redis and slot are of epoch 5, confirmed up to 90.
func TestP3P4Decide(t *testing.T) {
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", LSN: 100, Epoch: 5, Token: "a"}
	stored := func(change func(*readmodel.Checkpoint)) func(*state) {
		return func(s *state) { c := cp; change(&c); s.stored = c.String() }
	}
	empty := func(s *state) { s.stored = "" }
	noSlot := func(s *state) { s.slots = s.slots[:1] }
	lost := func(s *state) { s.slots[1].Lost = true }
	otherSystem := func(s *state) { s.system.ID = 2 }
	otherTimeline := func(s *state) { s.system.Timeline = 2 }
	older := stored(func(c *readmodel.Checkpoint) { c.LSN = 89 })
	backup := stored(func(c *readmodel.Checkpoint) { c.Slot, c.Epoch, c.LSN = "pyramid_3", 3, 50 })
	forced := func(r Reason) func(*state) { return func(s *state) { s.forced = r } }
	for _, c := range []struct {
		name    string
		changes []func(*state)
		want    Reason
		serving bool
	}{
		{"fresh: nothing is there", []func(*state){empty, func(s *state) { s.slots = nil }}, CheckpointMissing, true},
		{"resume", nil, Resume, true},
		{"resume at the confirmed position", []func(*state){stored(func(c *readmodel.Checkpoint) { c.LSN = 90 })}, Resume, true},
		{"resume at the end of the log", []func(*state){func(s *state) { s.system.Flushed = 100 }}, Resume, true},
		{"resume within a transaction", []func(*state){stored(func(c *readmodel.Checkpoint) { c.Applying = true })}, Resume, true},
		{"resume though a rebuild was begun", []func(*state){func(s *state) { s.mark = mark(6, "b", 1) }}, Resume, true},
		{"resume though the slot is still held", []func(*state){func(s *state) { s.slots[1].ActivePID = 7 }}, Resume, true},
		{"redis is empty", []func(*state){empty}, CheckpointMissing, true},
		{"redis is empty, the slot is gone, too", []func(*state){empty, noSlot}, CheckpointMissing, true},
		{"redis is empty after a failover", []func(*state){empty, noSlot, otherTimeline}, CheckpointMissing, true},
		{"the checkpoint can't be read", []func(*state){func(s *state) { s.stored = "1 x" }}, CheckpointCorrupt, true},
		{"redis is older than the slot", []func(*state){older}, CheckpointBehind, true},
		{"redis is older than the slot, within a transaction",
			[]func(*state){stored(func(c *readmodel.Checkpoint) { c.LSN, c.Applying = 89, true })}, CheckpointBehind, true},
		{"the slot is missing", []func(*state){noSlot}, SlotMissing, true},
		{"no slot is left", []func(*state){func(s *state) { s.slots = nil }}, SlotMissing, true},
		{"the slot is lost", []func(*state){lost}, SlotLost, true},
		{"the slot is lost, redis older than it", []func(*state){lost, older}, SlotLost, true},
		{"the slot was made anew under its name", []func(*state){func(s *state) { s.slots[1].ConfirmedLSN = 200 }}, CheckpointBehind, true},
		{"redis was restored from a backup of this epoch", []func(*state){older}, CheckpointBehind, true},
		{"redis was restored from a backup of an old epoch", []func(*state){backup}, SlotMissing, true},
		{"redis was restored from before a failover", []func(*state){backup, otherTimeline}, OtherTimeline, false},
		{"redis was restored from another system", []func(*state){backup, otherSystem}, OtherSystem, false},
		{"other system", []func(*state){otherSystem}, OtherSystem, false},
		{"other system with a slot of the name and a later timeline", []func(*state){otherSystem, otherTimeline}, OtherSystem, false},
		{"timeline changed", []func(*state){otherTimeline, noSlot}, OtherTimeline, false},
		{"timeline changed, the slot was kept", []func(*state){otherTimeline}, OtherTimeline, false},
		{"the primary was restored to before the checkpoint", []func(*state){func(s *state) { s.system.Flushed = 99 }}, PrimaryBehind, false},
		{"the primary was restored, without its slots", []func(*state){func(s *state) { s.system.Flushed = 99 }, noSlot}, PrimaryBehind, false},
		{"a table was truncated before a failover", []func(*state){forced(Truncated), otherTimeline}, OtherTimeline, false},
		{"a table was truncated, redis was flushed", []func(*state){forced(Truncated), empty}, CheckpointMissing, true},
		{"a table was truncated", []func(*state){forced(Truncated)}, Truncated, true},
		{"a rebuild was asked for", []func(*state){forced(Requested)}, Requested, true},
		{"a rebuild was asked for before a failover", []func(*state){forced(Requested), otherTimeline}, OtherTimeline, false},
		{"a flush was torn", []func(*state){forced(Torn)}, Torn, false},
		{"keys were evicted", []func(*state){forced(Evicted)}, Evicted, false},
		{"keys were evicted, the slot is gone", []func(*state){forced(Evicted), noSlot}, Evicted, false},
	} {
		s := state{stored: cp.String(), system: wal.System{ID: 1, Timeline: 1, Flushed: 1000},
			slots: []wal.Slot{{Name: "pyramid_4"}, {Name: "pyramid_5", ConfirmedLSN: 90}}}
		for _, change := range c.changes {
			change(&s)
		}
		got := decide(s)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got.keepsServing() != c.serving {
			t.Errorf("%s: the old epoch is served: %v", c.name, !c.serving)
		}
	}
}

func TestP4AnEpochIsNeverUsedTwice(t *testing.T) {
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", Epoch: 2000, Token: "a"}
	for _, c := range []struct {
		name, stored, mark string
		slot               string
		want               readmodel.Epoch
	}{
		{"clock", "", "", "x", 1000},
		{"checkpoint", cp.String(), "", "x", 2001},
		{"slot", cp.String(), "", "pyramid_3000", 3001},
		{"mark", cp.String(), mark(4000, "a", 1), "pyramid_3000", 4001},
	} {
		s := state{stored: c.stored, slots: []wal.Slot{{Name: c.slot}}}
		if got := nextEpoch(s, c.mark, time.UnixMilli(1000)); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
