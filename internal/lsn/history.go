package lsn

import "slices"

// Branch says where a timeline begins: at the LSN Begins of its parent. The WAL of both is the same up to
// there (PostgreSQL documentation, chapter 26.3.5, Timelines).
type Branch struct {
	Timeline, Parent uint32
	Begins           LSN
}

// History is the present timeline of a database and the branches that led to it. The zero History knows
// no timeline; it compares only positions of equal timelines. It is never changed after it was made, so
// goroutines may share it.
type History struct {
	present uint32
	// ends holds, for each ancestor of the present timeline, the LSN up to which it belongs to this history.
	ends map[uint32]LSN
}

// NewHistory makes the history of the present timeline. Branches that did not lead to it are ignored. The line of
// ancestors ends at a parent without a branch of its own, which is the oldest timeline known.
func NewHistory(present uint32, branches []Branch) History {
	h := History{present: present, ends: make(map[uint32]LSN)}
	end := ^LSN(0)
	for t := present; ; {
		i := slices.IndexFunc(branches, func(b Branch) bool { return b.Timeline == t })
		if i < 0 {
			return h
		}
		b := branches[i]
		if _, twice := h.ends[b.Parent]; twice || b.Parent == 0 || b.Parent == present {
			return h
		}
		// A timeline can be left at an LSN before its own beginning. Then its parent ends at that LSN too.
		end = min(end, b.Begins)
		h.ends[b.Parent] = end
		t = b.Parent
	}
}

// Present returns the present timeline, 0 if none is known.
func (h History) Present() uint32 { return h.present }

// Left returns where the history left a timeline, and whether that timeline is an ancestor of the present one.
func (h History) Left(timeline uint32) (at LSN, isAncestor bool) {
	at, isAncestor = h.ends[timeline]
	return at, isAncestor
}

// Resolve replaces timeline 0 of a position by the present timeline.
func (h History) Resolve(p Position) Position {
	if p.Timeline == 0 {
		p.Timeline = h.present
	}
	return p
}

// Standing says what a history knows about a position.
type Standing byte

// The standings of a position.
const (
	// Held: the WAL up to the position is part of the history, as far as it has been written.
	Held Standing = iota
	// Lost: the history left the position's timeline before the position.
	Lost
	// Unknown: the position's timeline is newer than the history.
	Unknown
)

// Judge says what the history knows about a position. A position of an older timeline that is no ancestor is lost,
// because the system went on without that timeline.
func (h History) Judge(p Position) Standing {
	p = h.Resolve(p)
	switch end, ancestor := h.ends[p.Timeline]; {
	case p.Timeline == h.present:
		return Held
	case ancestor && p.LSN <= end:
		return Held
	case h.present == 0 || p.Timeline > h.present:
		return Unknown
	}
	return Lost
}

// Reaches says whether data that hold everything up to the position at also hold everything up to want. A timeline 0
// in want means the present one. A position of an unknown or lost timeline is reached only by positions of the same
// timeline.
func (h History) Reaches(at, want Position) bool {
	want = h.Resolve(want)
	if at.Timeline == want.Timeline {
		return at.LSN >= want.LSN
	}
	wantEnd, wantIsAncestor := h.ends[want.Timeline]
	atEnd, atIsAncestor := h.ends[at.Timeline]
	switch {
	case at.Timeline == h.present:
		return wantIsAncestor && want.LSN <= wantEnd && want.LSN <= at.LSN
	case !atIsAncestor:
		return false
	}
	// at belongs to this history only up to where its timeline was left.
	at.LSN = min(at.LSN, atEnd)
	if want.Timeline != h.present && (!wantIsAncestor || want.LSN > wantEnd) {
		return false
	}
	return at.LSN >= want.LSN
}

// Later returns the position that holds more. Neither timeline may be lost.
func (h History) Later(a, b Position) Position {
	if h.Reaches(a, b) {
		return a
	}
	return b
}
