package session

import (
	"errors"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// P3, P4: what a session finds, the reason that follows, and whether the old epoch is served until the new one is
// complete. At first Redis and the slot are of epoch 5, and the slot is confirmed up to 90.
func TestDecide_P3_P4(t *testing.T) {
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", LSN: 100, Epoch: 5, Token: "a",
		Publication: "p", Commit: 95, CommitAt: 7}
	stored := func(change func(*readmodel.Checkpoint)) func(*state) {
		return func(s *state) { c := cp; change(&c); s.stored = c.String() }
	}
	empty := func(s *state) { s.stored = "" }
	noSlot := func(s *state) { s.slots = s.slots[:1] }
	lost := func(s *state) { s.slots[1].Lost = true }
	otherSystem := func(s *state) { s.system.ID = 2 }
	promoted := func(begins lsn.LSN) func(*state) {
		return func(s *state) {
			s.system.Timeline = 2
			s.history = lsn.NewHistory(2, []lsn.Branch{{Timeline: 2, Parent: 1, Begins: begins}})
		}
	}
	otherTimeline, failover := promoted(99), promoted(100)
	continued := func(s *state) { s.successor = &wal.Slot{Name: "pyramid_2", ConfirmedLSN: 120} }
	kept := func(s *state) { s.slots[1].Failover = true }
	forgot := func(s *state) { s.memory.forgot = true }
	later := func(s *state) { s.memory.later = true }
	restarted := func(s *state) { s.node.Started = 2 }
	proven := func(s *state) { s.memory.proven = true }
	altered := func(s *state) { s.published.Fingerprint = "q" }
	older := stored(func(c *readmodel.Checkpoint) { c.LSN, c.Commit = 89, 85 })
	otherFormat := stored(func(c *readmodel.Checkpoint) { c.Format++ })
	backup := stored(func(c *readmodel.Checkpoint) { c.Slot, c.Epoch, c.LSN, c.Commit = "pyramid_3", 3, 50, 45 })
	forced := func(r status.Reason) func(*state) { return func(s *state) { s.forced = r } }
	for _, c := range []struct {
		name    string
		changes []func(*state)
		want    status.Reason
		serving bool
	}{
		{"fresh: nothing is there", []func(*state){empty, func(s *state) { s.slots = nil }}, status.CheckpointMissing, true},
		{"resume", nil, status.Resume, true},
		{"resume at the confirmed position", []func(*state){stored(func(c *readmodel.Checkpoint) { c.Commit = 90 })}, status.Resume, true},
		{"resume where nothing was applied yet", []func(*state){stored(func(c *readmodel.Checkpoint) { c.Commit = 0 })}, status.Resume, true},
		{"the last transaction can't be seen again", []func(*state){stored(func(c *readmodel.Checkpoint) { c.Commit = 89 })}, status.CheckpointBehind, true},
		{"resume at the end of the log", []func(*state){func(s *state) { s.system.Flushed = 100 }}, status.Resume, true},
		{"resume within a transaction", []func(*state){stored(func(c *readmodel.Checkpoint) { c.Applying = true })}, status.Resume, true},
		{"resume though a rebuild was begun", []func(*state){func(s *state) { s.mark = "6 b 1" }}, status.Resume, true},
		{"resume though the slot is still held", []func(*state){func(s *state) { s.slots[1].ActivePID = 7 }}, status.Resume, true},
		{"redis is empty", []func(*state){empty}, status.CheckpointMissing, true},
		{"redis is empty, the slot is gone, too", []func(*state){empty, noSlot}, status.CheckpointMissing, true},
		{"redis is empty after a failover", []func(*state){empty, noSlot, otherTimeline}, status.CheckpointMissing, true},
		{"the checkpoint can't be read", []func(*state){func(s *state) { s.stored = "x" }}, status.CheckpointCorrupt, true},
		{"an older release wrote another version", []func(*state){func(s *state) { s.stored = "2 x" }}, status.OtherVersion, false},
		{"a later release wrote another version", []func(*state){func(s *state) { s.stored = "4 x y" }}, status.OtherVersion, false},
		{"a later release has written further fields", []func(*state){func(s *state) { s.stored += " new 7" }}, status.Resume, true},
		{"a later release has built the epoch in another format", []func(*state){otherFormat}, status.OtherFormat, true},
		{"another format, the slot is gone", []func(*state){otherFormat, noSlot}, status.OtherFormat, true},
		{"another format, a later heartbeat where Redis is", []func(*state){otherFormat, later}, status.PrimaryForgot, false},
		{"another format, the server was started again, nothing can tell", []func(*state){otherFormat, restarted}, status.PrimaryForgot, false},
		{"redis is older than the slot", []func(*state){older}, status.CheckpointBehind, true},
		{"redis is older than the slot, within a transaction",
			[]func(*state){stored(func(c *readmodel.Checkpoint) { c.LSN, c.Commit, c.Applying = 89, 85, true })}, status.CheckpointBehind, true},
		{"the slot is missing", []func(*state){noSlot}, status.SlotMissing, true},
		{"no slot is left", []func(*state){func(s *state) { s.slots = nil }}, status.SlotMissing, true},
		{"the slot is lost", []func(*state){lost}, status.SlotLost, true},
		{"the slot is lost, redis older than it", []func(*state){lost, older}, status.SlotLost, true},
		{"the slot was made anew under its name", []func(*state){func(s *state) { s.slots[1].ConfirmedLSN = 200 }}, status.CheckpointBehind, true},
		{"redis was restored from a backup of this epoch", []func(*state){older}, status.CheckpointBehind, true},
		{"redis was restored from a backup of an old epoch", []func(*state){backup}, status.SlotMissing, true},
		{"redis was restored from before a failover", []func(*state){backup, otherTimeline}, status.Failover, true},
		{"redis was restored from another system", []func(*state){backup, otherSystem}, status.OtherSystem, false},
		{"other system", []func(*state){otherSystem}, status.OtherSystem, false},
		{"other system with a slot of the name and a later timeline", []func(*state){otherSystem, otherTimeline}, status.OtherSystem, false},
		{"timeline changed", []func(*state){otherTimeline, noSlot}, status.OtherTimeline, false},
		{"timeline changed, the slot was kept", []func(*state){otherTimeline}, status.OtherTimeline, false},
		{"timeline changed beyond what Redis holds", []func(*state){failover, noSlot}, status.Failover, true},
		{"timeline changed beyond what Redis holds, a slot that is no failover slot", []func(*state){failover}, status.Failover, true},
		{"timeline changed beyond what Redis holds, a failover slot", []func(*state){failover, kept}, status.Resume, true},
		{"timeline changed beyond what Redis holds, a failover slot that was lost", []func(*state){failover, kept, lost}, status.Failover, true},
		{"timeline changed before what Redis holds, a failover slot", []func(*state){otherTimeline, kept}, status.OtherTimeline, false},
		{"timeline changed, a slot continues", []func(*state){failover, noSlot, continued}, status.Resume, true},
		{"timeline changed before the position of Redis, a slot continues", []func(*state){otherTimeline, noSlot, continued}, status.Resume, true},
		{"a slot continues, but a table was truncated", []func(*state){failover, noSlot, continued, forced(status.Truncated)}, status.Truncated, true},
		{"a slot continues, but the format is another", []func(*state){failover, noSlot, otherFormat, continued}, status.OtherFormat, true},
		{"a slot continues, but the primary forgot", []func(*state){failover, noSlot, continued, forgot}, status.PrimaryForgot, false},
		{"a slot continues, but the publication is another one", []func(*state){failover, continued, altered}, status.PublicationChanged, false},
		{"two promotions to the same timeline", []func(*state){forgot, noSlot}, status.PrimaryForgot, false},
		{"the primary was restored and has grown", []func(*state){forgot}, status.PrimaryForgot, false},
		{"the primary was restored and has grown, a failover since", []func(*state){forgot, failover, noSlot}, status.PrimaryForgot, false},
		{"a later heartbeat where Redis is, the stream can tell", []func(*state){later}, status.Resume, true},
		{"a later heartbeat where Redis is, no slot", []func(*state){later, noSlot}, status.PrimaryForgot, false},
		{"a later heartbeat where Redis is, a lost slot", []func(*state){later, lost}, status.PrimaryForgot, false},
		{"a later heartbeat where Redis is, redis older than the slot", []func(*state){later, older}, status.PrimaryForgot, false},
		{"a later heartbeat where Redis is, a failover", []func(*state){later, failover, noSlot}, status.PrimaryForgot, false},
		{"the server was started again, the stream can tell", []func(*state){restarted}, status.Resume, true},
		{"the server was started again, no slot, nothing can tell", []func(*state){restarted, noSlot}, status.PrimaryForgot, false},
		{"the server was started again, a table was truncated, nothing can tell", []func(*state){restarted, forced(status.Truncated)}, status.PrimaryForgot, false},
		{"the server was started again, no slot, its log has the last commit", []func(*state){restarted, proven, noSlot}, status.SlotMissing, true},
		{"the server was started again, a failover", []func(*state){restarted, failover, noSlot}, status.Failover, true},
		{"the publication is another one", []func(*state){altered}, status.PublicationChanged, false},
		{"the publication is another one, no slot", []func(*state){altered, noSlot}, status.PublicationChanged, false},
		{"the publication changed while it was streamed", []func(*state){forced(status.PublicationChanged)}, status.PublicationChanged, false},
		{"the primary forgot what the stream should have sent", []func(*state){forced(status.PrimaryForgot)}, status.PrimaryForgot, false},
		{"a rebuild was asked for, no slot, a later heartbeat", []func(*state){forced(status.Requested), later, noSlot}, status.PrimaryForgot, false},
		{"the primary was restored to before the checkpoint", []func(*state){func(s *state) { s.system.Flushed = 99 }}, status.PrimaryBehind, false},
		{"the primary was restored, without its slots", []func(*state){func(s *state) { s.system.Flushed = 99 }, noSlot}, status.PrimaryBehind, false},
		{"a table was truncated before a failover", []func(*state){forced(status.Truncated), otherTimeline}, status.OtherTimeline, false},
		{"a table was truncated, redis was flushed", []func(*state){forced(status.Truncated), empty}, status.CheckpointMissing, true},
		{"a table was truncated", []func(*state){forced(status.Truncated)}, status.Truncated, true},
		{"a rebuild was asked for", []func(*state){forced(status.Requested)}, status.Requested, true},
		{"a rebuild was asked for before a failover", []func(*state){forced(status.Requested), otherTimeline}, status.OtherTimeline, false},
		{"a flush was torn", []func(*state){forced(status.Torn)}, status.Torn, false},
		{"a flush was torn, and the checkpoint was taken away", []func(*state){forced(status.Torn), empty}, status.Torn, false},
		{"keys were evicted", []func(*state){forced(status.Evicted)}, status.Evicted, false},
		{"keys were evicted, the slot is gone", []func(*state){forced(status.Evicted), noSlot}, status.Evicted, false},
	} {
		s := state{stored: cp.String(), system: wal.System{ID: 1, Timeline: 1, Flushed: 1000},
			history: lsn.NewHistory(1, nil), published: wal.Published{Fingerprint: "p"},
			slots: []wal.Slot{{Name: "pyramid_4"}, {Name: "pyramid_5", ConfirmedLSN: 90}}}
		for _, change := range c.changes {
			change(&s)
		}
		got := decide(s)
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if got.KeepsServing() != c.serving {
			t.Errorf("%s: the old epoch is served: %v", c.name, !c.serving)
		}
	}
}

// P10: an older timeline of the same system is refused. The timeline of another system does not matter.
func TestAnOlderTimelineIsRefused_P10(t *testing.T) {
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 2, Slot: "pyramid_5", Epoch: 5, Token: "a"}
	for _, c := range []struct {
		system   uint64
		timeline uint32
		stored   string
		want     bool
	}{
		{1, 1, cp.String(), true}, {1, 2, cp.String(), false}, {1, 3, cp.String(), false}, {2, 1, cp.String(), false},
		{1, 1, "", false}, {1, 1, "1 x", false},
	} {
		s := state{stored: c.stored, system: wal.System{ID: c.system, Timeline: c.timeline}, history: lsn.NewHistory(c.timeline, nil)}
		if err := s.stale(); errors.Is(err, ErrStalePrimary) != c.want {
			t.Errorf("system %d on timeline %d: %v", c.system, c.timeline, err)
		}
		if c.want && decide(s) != status.OtherTimeline {
			t.Errorf("accepted, it is %q", decide(s))
		}
	}
}
