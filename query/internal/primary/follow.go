package primary

import "sync"

// followers are the runs of standbys that have shown a heartbeat of the primary's present run. A standby replays
// one log from its beginning to its end, so it is on the primary's line from then on.
type followers struct {
	mu         sync.RWMutex
	generation uint64
	started    map[int64]bool
}

func (f *followers) has(generation uint64, started int64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.generation == generation && f.started[started]
}

func (f *followers) add(generation uint64, started int64) {
	if f.has(generation, started) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case generation < f.generation:
		return
	case generation > f.generation:
		f.generation, f.started = generation, make(map[int64]bool)
	}
	f.started[started] = true
}
