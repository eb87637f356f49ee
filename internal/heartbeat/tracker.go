package heartbeat

import (
	"slices"
	"sync"
	"time"
)

// Quiet is how old the newest heartbeat may be before its age counts as lag. Heartbeats come every second.
const Quiet = 2 * time.Second

// kept is how many heartbeats a Tracker remembers, which is more than the primary keeps.
const kept = 4000

// Tracker knows the heartbeats of the present history and when this process first saw each of them, by its
// own monotonic clock. No clocks of two machines are compared, so lag does not depend on the primary's clock.
// Every method takes the time, and all may be called at once.
type Tracker struct {
	mu     sync.RWMutex
	sights []sight // by number
	down   time.Time
	back   time.Time
}

// sight is a heartbeat and when it was first seen. It is proven once the primary has shown it.
type sight struct {
	beat   Beat
	at     time.Time
	proven bool
}

// Adopt takes all heartbeats that the primary has, ascending, and forgets every other one, because a primary that was
// restored to an older state has another history.
func (t *Tracker) Adopt(now time.Time, beats []Beat) {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.sights
	t.sights = nil
	t.add(now, beats, was)
}

// Extend adds the primary's new heartbeats, in ascending order.
func (t *Tracker) Extend(now time.Time, beats []Beat) {
	if len(beats) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	first, _ := place(t.sights, beats[0].Number)
	was := slices.Clone(t.sights[first:])
	t.sights = t.sights[:first]
	t.add(now, beats, was)
}

// add appends proven sights. A heartbeat that was seen before keeps its time. A new heartbeat gets the time of the
// next one, less the time between the two by the primary's clock, or the same time if that clock was set back. If it
// is the newest, it gets the time now.
func (t *Tracker) add(now time.Time, beats []Beat, was []sight) {
	first := len(t.sights)
	for _, b := range beats {
		t.sights = append(t.sights, sight{beat: b, proven: true})
	}
	next := sight{at: now}
	for i := len(t.sights) - 1; i >= first; i-- {
		s := &t.sights[i]
		if j, found := place(was, s.beat.Number); found && was[j].beat == s.beat {
			s.at = was[j].at
		} else if s.at = next.at; next.beat.At > s.beat.At && next.beat != (Beat{}) {
			s.at = next.at.Add(-time.Duration(next.beat.At-s.beat.At) * time.Microsecond)
		}
		next = *s
	}
	if extra := len(t.sights) - kept; extra > 0 {
		t.sights = slices.Delete(t.sights, 0, extra)
	}
}

// Note takes the newest heartbeat of a standby or of Redis. The source must be of the present history.
func (t *Tracker) Note(now time.Time, b Beat) {
	t.mu.RLock()
	i, found := place(t.sights, b.Number)
	last := i == len(t.sights)
	t.mu.RUnlock()
	if found || !last || b == (Beat{}) {
		return // it is not known when an old heartbeat that was never seen came
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i, _ := place(t.sights, b.Number); i == len(t.sights) {
		t.sights = append(t.sights, sight{beat: b, at: now})
	}
}

// place is the index at which the heartbeat of a number is or would be.
func place(list []sight, number int64) (i int, found bool) {
	return slices.BinarySearchFunc(list, number, func(s sight, n int64) int {
		switch {
		case s.beat.Number < n:
			return -1
		case s.beat.Number > n:
			return 1
		}
		return 0
	})
}

// Down notes that no primary runs, so that no heartbeat is to be expected.
func (t *Tracker) Down(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.down.IsZero() {
		t.down = now
	}
}

// Up notes that a primary runs.
func (t *Tracker) Up(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.down.IsZero() {
		t.down, t.back = time.Time{}, now
	}
}

// Lag is how far a source is behind the primary whose newest heartbeat is b: the time since a newer heartbeat is
// known. If none is, it is the time since b was first seen, less Quiet. That time stands still while no primary runs,
// and begins anew when one comes back.
func (t *Tracker) Lag(now time.Time, b Beat) time.Duration {
	t.mu.RLock()
	defer t.mu.RUnlock()
	i, found := place(t.sights, b.Number)
	newer := i
	if found {
		newer++
	}
	if newer < len(t.sights) {
		return max(now.Sub(t.sights[newer].at), 0)
	}
	if !found {
		return 0
	}
	from, to := t.sights[i].at, now
	if t.back.After(from) {
		from = t.back
	}
	if !t.down.IsZero() {
		to = t.down
	}
	return max(to.Sub(from)-Quiet, 0)
}

// Newest is the newest heartbeat that the primary has shown, the zero Beat if it has shown none.
func (t *Tracker) Newest() Beat {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, s := range slices.Backward(t.sights) {
		if s.proven {
			return s.beat
		}
	}
	return Beat{}
}

// Standing is what the primary's heartbeats say about a heartbeat that another node shows.
type Standing byte

// The standings of a heartbeat.
const (
	// Known: the primary has it, or it is older than all that the primary keeps.
	Known Standing = iota
	// Newer: the primary had not shown it when the primary was last asked.
	Newer
	// Foreign: the primary has another heartbeat in its place, so the node is of another history.
	Foreign
)

// Standing compares a heartbeat with the primary's. While the primary has shown none, every heartbeat is Newer.
func (t *Tracker) Standing(b Beat) Standing {
	newest := t.Newest()
	t.mu.RLock()
	defer t.mu.RUnlock()
	i, found := place(t.sights, b.Number)
	switch {
	case b.Number > newest.Number || newest == (Beat{}):
		return Newer
	case found && t.sights[i].beat.Nonce == b.Nonce && t.sights[i].proven:
		return Known
	case i == 0 && !found:
		return Known
	}
	return Foreign
}
