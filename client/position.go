package client

import (
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// Position is a position in the database's log, as Commit-LSN and Read-LSN have it. It is opaque: send it back as it
// came. "" is none.
type Position string

// memory holds the position of the last write of a session. A nil memory holds none.
type memory struct {
	mu sync.Mutex
	at Position
}

func (m *memory) position() Position {
	if m == nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at
}

// see enters the position of a write.
func (m *memory) see(at Position) {
	if m == nil || at == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = later(at, m.at)
}

// forget removes a position that the database has lost, unless a later write has replaced it.
func (m *memory) forget(at Position) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == at {
		m.at = ""
	}
}

// later returns the position that covers both. On one timeline that is the one with the higher LSN. LSNs of two timelines
// are never compared: the newer timeline began behind all that was kept of the older one, so its position covers both
// (docs/CONSISTENCY.md, Positions). If a position has no timeline, it is of the present one, and a wins.
func later(a, b Position) Position {
	if a == "" || b == "" {
		return a + b
	}
	x, errX := lsn.ParsePosition(string(a))
	y, errY := lsn.ParsePosition(string(b))
	switch {
	case errX != nil, errY != nil, x.Timeline == 0, y.Timeline == 0, x.Timeline > y.Timeline:
		return a
	case x.Timeline < y.Timeline, x.LSN < y.LSN:
		return b
	}
	return a
}
