package drill

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// row is a row of bids at the primary.
type row struct {
	Bid
	key string
}

// Count is what the comparison of a book with the rows of the primary found.
type Count struct {
	Acknowledged int64 `json:"acknowledged"`
	Lost         int64 `json:"lost"`    // acknowledged, but not there as acknowledged
	Doubled      int64 `json:"doubled"` // logical bids with more than one row
	// Late is the number of bids that an answer left in doubt and that turned out to be committed.
	Late int64 `json:"late"`
	// Refused bids must not be there. Unwanted ones are.
	Refused  int64 `json:"refused"`
	Unwanted int64 `json:"unwanted"`
	// Open bids have no known outcome.
	Open  int64 `json:"open"`
	Wrong int64 `json:"wrong"` // reads

	Examples []string `json:"examples,omitempty"` // of what should not be
}

func (c *Count) example(format string, args ...any) {
	if len(c.Examples) < 3*kept {
		c.Examples = append(c.Examples, fmt.Sprintf(format, args...))
	}
}

// compare holds what was acknowledged, and what any answer showed, against all rows above the book's base.
func compare(b *Book, rows []row) Count {
	b.mu.Lock()
	defer b.mu.Unlock()
	byID := make(map[int64]row, len(rows))
	bySerial := make(map[int][]row)
	for _, r := range rows {
		byID[r.ID] = r
		if serial, ours := b.serial(r.key); ours {
			bySerial[serial] = append(bySerial[serial], r)
		}
	}
	var c Count
	for _, e := range b.entries {
		c.entry(e, bySerial[e.Serial])
	}
	c.Wrong = int64(b.nWrong)
	for _, w := range b.wrong {
		c.example("wrong read: %s", w)
	}
	c.phantoms(b, byID)
	return c
}

// entry judges a logical bid by the rows with its key.
func (c *Count) entry(e *Entry, rows []row) {
	if len(rows) > 1 {
		c.Doubled++
		c.example("doubled: bid %d of the drill is there as %v", e.Serial, rows)
	}
	if e.Doubt && (e.Replayed || e.State != Acknowledged && len(rows) > 0) {
		c.Late++
	}
	switch e.State {
	case Acknowledged:
		c.Acknowledged++
		if !slices.ContainsFunc(rows, func(r row) bool { return r.Bid == e.Bid }) {
			c.Lost++
			e.lost = true
			c.example("lost: %+v was acknowledged at %s, there is %v", e.Bid, e.LSN, rows)
		}
	case Refused:
		c.Refused++
		if len(rows) > 0 && !e.Doubt {
			c.Unwanted++
			c.example("unwanted: %+v was refused (%s), there is %v", e.Bid, e.Reason, rows)
		}
	case Open:
		c.Open++
		c.example("open: %+v was sent %d times, there is %v", e.Bid, e.Tries, rows)
	}
}

// phantoms counts bids that an answer showed and that are not there, or are there with other values.
func (c *Count) phantoms(b *Book, byID map[int64]row) {
	for _, id := range slices.Sorted(maps.Keys(b.shown)) {
		shown := b.shown[id]
		if r, ok := byID[id]; !ok || r.Bid != shown.Bid {
			c.Wrong++
			c.example("wrong read: %s showed %+v at %s, there is %+v", shown.path, shown.Bid, shown.at.Format(time.TimeOnly), r)
		}
	}
}
