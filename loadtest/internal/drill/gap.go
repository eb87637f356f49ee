package drill

import (
	"sync"
	"time"
)

// gap finds the longest time without an event. It is safe for concurrent use.
type gap struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
	from    time.Time // when the longest time began
}

// mark notes an event. The first call, which begins the measurement, is none.
func (g *gap) mark(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last.IsZero() {
		g.last = at
	}
	if d := at.Sub(g.last); d > g.longest {
		g.longest, g.from = d, g.last
	}
	if at.After(g.last) { // events of several goroutines come in any order
		g.last = at
	}
}

// latest is the time of the last event.
func (g *gap) latest() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// result returns the longest time and when it began.
func (g *gap) result() (longest time.Duration, from time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.longest, g.from
}
