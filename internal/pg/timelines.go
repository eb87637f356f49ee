package pg

import "sync"

// Timelines remembers the highest timeline of each system that this process has seen a server write on. A promotion
// begins a timeline, so a server that writes on a lower one was overtaken: what it accepts is lost. The zero value is
// ready to use.
type Timelines struct {
	mu      sync.Mutex
	highest map[uint64]uint32
}

// Note remembers a server's timeline.
func (t *Timelines) Note(i Identity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.highest == nil {
		t.highest = make(map[uint64]uint32)
	}
	t.highest[i.System] = max(t.highest[i.System], i.Timeline)
}

// Overtaken says whether a server of the same system was seen to write on a higher timeline.
func (t *Timelines) Overtaken(i Identity) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return i.Timeline < t.highest[i.System]
}
