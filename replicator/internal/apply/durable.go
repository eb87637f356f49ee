package apply

import (
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// Redis syncs its append-only file every second and may put that off for two (appendfsync everysec):
// what was written settle ago is on disk. 7.0 has no WAITAOF to ask.
const (
	settle     = 3 * time.Second
	resolution = 100 * time.Millisecond
)

// durable knows which checkpoints have been in Redis long enough to be confirmed to the slot (P1).
type durable struct {
	mu        sync.Mutex
	marks     []written
	confirmed lsn.LSN
}

type written struct {
	lsn         lsn.LSN
	first, last time.Time
}

// wrote notes that Redis took a checkpoint. Those of a tenth of a second share a mark, which has the
// age of its youngest.
func (d *durable) wrote(lsn lsn.LSN, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.marks); n > 0 && now.Sub(d.marks[n-1].first) < resolution {
		d.marks[n-1].lsn, d.marks[n-1].last = lsn, now
		return
	}
	d.marks = append(d.marks, written{lsn, now, now})
}

// confirm returns the position that may be confirmed now.
func (d *durable) confirm(now time.Time) lsn.LSN {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for n < len(d.marks) && now.Sub(d.marks[n].last) >= settle {
		d.confirmed = max(d.confirmed, d.marks[n].lsn)
		n++
	}
	d.marks = append(d.marks[:0], d.marks[n:]...)
	return d.confirmed
}
