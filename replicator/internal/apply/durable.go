package apply

import (
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// Redis syncs its append-only file every second and may delay that by two more (appendfsync everysec). So a write is on
// disk when settle has passed. Redis 7.0 has no WAITAOF that would tell.
const (
	settle     = 3 * time.Second
	resolution = 100 * time.Millisecond
)

// durable knows which positions have been in Redis long enough to be confirmed to the slot (P1).
type durable struct {
	mu        sync.Mutex
	marks     []written
	confirmed lsn.LSN
}

type written struct {
	lsn         lsn.LSN
	first, last time.Time
}

// wrote notes a position that was written to Redis. Positions of the same tenth of a second share a mark, whose age is
// that of the last one.
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
