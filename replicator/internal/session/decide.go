package session

import (
	"errors"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// ErrStalePrimary is returned for a primary on an older timeline than that of the read model, such as an old primary
// that was started again after a promotion. Nothing in Redis is changed.
var ErrStalePrimary = errors.New("the read model is of a later timeline than this primary's")

// state is everything on which the decision depends.
type state struct {
	stored    string // the checkpoint as Redis holds it; "" if missing
	mark      string // the mark of an interrupted rebuild; "" if missing
	system    wal.System
	node      wal.Node
	history   lsn.History // of the system's timeline
	memory    memory
	published wal.Published
	slots     []wal.Slot
	successor *wal.Slot     // whose stream continues the checkpoint after a promotion; nil if there is none
	forced    status.Reason // why the previous session needs a rebuild
}

// checkpoint returns the stored checkpoint, or nil if it is missing or can't be read.
func (s state) checkpoint() *readmodel.Checkpoint {
	c, err := readmodel.ParseCheckpoint(s.stored)
	if err != nil {
		return nil
	}
	return &c
}

// unreadable is the reason for a rebuild if the checkpoint can't be read.
func (s state) unreadable() status.Reason {
	_, err := readmodel.ParseCheckpoint(s.stored)
	switch {
	case s.stored == "":
		return status.CheckpointMissing
	case errors.Is(err, readmodel.ErrVersion):
		return status.OtherVersion
	}
	return status.CheckpointCorrupt
}

func (s state) slot(name string) *wal.Slot {
	for i := range s.slots {
		if s.slots[i].Name == name {
			return &s.slots[i]
		}
	}
	return nil
}

// stale returns an error if the primary is on an older timeline than the read model. Only an operator may accept that
// (P10).
func (s state) stale() error {
	c := s.checkpoint()
	if c == nil || c.SystemID != s.system.ID || c.Timeline <= s.system.Timeline {
		return nil
	}
	return fmt.Errorf("%w: timeline %d instead of %d; start the newer primary, or run \"replicator rebuild --accept-older-timeline\"",
		ErrStalePrimary, s.system.Timeline, c.Timeline)
}

// decide says whether the stream can continue from the checkpoint, and if not, why (P3, P4). Reasons that forbid
// serving the old epoch come before the others.
func decide(s state) status.Reason {
	if !s.forced.KeepsServing() {
		return s.forced
	}
	c := s.checkpoint()
	switch {
	case c == nil:
		return s.unreadable()
	case c.SystemID != s.system.ID:
		return status.OtherSystem
	case s.successor == nil && s.history.Judge(c.Position()) != lsn.Held:
		return status.OtherTimeline
	case s.successor == nil && c.LSN > s.system.Flushed:
		return status.PrimaryBehind
	case s.memory.forgot:
		return status.PrimaryForgot
	case c.Publication != s.published.Fingerprint:
		return status.PublicationChanged
	}
	reason := resumes(s, *c)
	switch reason {
	case status.OtherFormat, status.Failover, status.SlotMissing, status.SlotLost, status.CheckpointBehind:
		// There will be no stream from the checkpoint on that could prove that the primary has the same history.
		if s.memory.later {
			return status.PrimaryForgot
		}
	}
	if s.forced != status.Resume {
		reason = s.forced
	}
	// The server may have been put back to an older state of its timeline and started again. A stream from the
	// checkpoint on would show that. Without a stream the old epoch is served only if something else proves the
	// history.
	if reason != status.Resume && c.Timeline == s.system.Timeline && c.Server != s.node.Started && !s.memory.proven {
		return status.PrimaryForgot
	}
	return reason
}

// resumes says whether the slot can continue from a checkpoint of this history. A checkpoint ahead of its slot is
// normal, because positions are confirmed late. From a checkpoint behind its slot the stream would lack what the slot
// has let go.
func resumes(s state, c readmodel.Checkpoint) status.Reason {
	slot := s.slot(c.Slot)
	switch {
	case c.Format != readmodel.Format:
		return status.OtherFormat
	case s.successor != nil:
		return status.Resume
	case c.Timeline != s.system.Timeline && !survives(slot):
		return status.Failover
	case slot == nil:
		return status.SlotMissing
	case slot.Lost:
		return status.SlotLost
	case resumesAt(c) < slot.ConfirmedLSN:
		return status.CheckpointBehind
	}
	return status.Resume
}

// survives says whether a slot is usable after a promotion. Servers from version 17 on keep failover slots in step. Any
// other slot of a promoted server may lack rows of the catalog that were removed since.
func survives(slot *wal.Slot) bool {
	return slot != nil && slot.Failover && !slot.Lost
}

// resumesAt is where the stream must start. The slot can't continue from there if a later position was confirmed to it.
func resumesAt(c readmodel.Checkpoint) lsn.LSN {
	if c.Commit != 0 {
		return c.Commit
	}
	return c.LSN
}
