package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Set is a raffle and a size, for which the read model keeps a set.
type Set struct {
	Raffle uint32
	Size   int16
}

// Ledger holds the outcomes that journals say, and which of the bids were found. It takes 9 bytes for each key.
type Ledger struct {
	books   []*book
	sets    map[Set]struct{}
	after   int64
	stored  bitmap // by id - after: every row of the time of the run, whoever bid
	acked   int64
	unknown int64
	retries int64
}

// book is one journal, by serial number.
type book struct {
	prefix  string
	outcome []int64 // the bid's id if acknowledged, or one of the following; 0 was never sent or its record is lost
	seen    bitmap  // in PostgreSQL, under any id
	matched bitmap  // in PostgreSQL, under the acknowledged id
	late    map[uint32]int64
}

const (
	outcomeUnknown = -1
	outcomeRefused = -2
)

// Load reads journals. Bids of the run have ids above after.
func Load(after int64, journals ...string) (*Ledger, error) {
	l := &Ledger{after: after, sets: make(map[Set]struct{})}
	for _, path := range journals {
		b := &book{late: make(map[uint32]int64)}
		var twice error
		prefix, err := readJournal(path, func(e Entry) {
			if err := b.enter(e); err != nil && twice == nil {
				twice = fmt.Errorf("journal %s: %w", path, err)
			}
			l.count(e)
		})
		if err = cmp.Or(err, twice); err != nil {
			return nil, err
		}
		b.prefix = prefix + "-"
		l.books = append(l.books, b)
	}
	return l, nil
}

func (l *Ledger) count(e Entry) {
	l.retries += int64(e.Retries)
	switch e.State {
	case Acknowledged:
		l.acked++
	case Unknown:
		l.unknown++
	case Refused:
		return
	}
	l.sets[Set{e.Raffle, e.Size}] = struct{}{}
}

func (b *book) enter(e Entry) error {
	for len(b.outcome) <= int(e.Serial) {
		b.outcome = append(b.outcome, 0)
	}
	if b.outcome[e.Serial] != 0 {
		return fmt.Errorf("two entries of key %d", e.Serial)
	}
	switch {
	case e.State == Acknowledged && e.ID > 0:
		b.outcome[e.Serial] = e.ID
	case e.State == Unknown:
		b.outcome[e.Serial] = outcomeUnknown
	case e.State == Refused:
		b.outcome[e.Serial] = outcomeRefused
	default:
		return fmt.Errorf("key %d has state %d and bid %d", e.Serial, e.State, e.ID)
	}
	return nil
}

// Acknowledged is the number of keys that were answered with 201.
func (l *Ledger) Acknowledged() int64 { return l.acked }

// Sets are all sets that may have a bid of the run, in order.
func (l *Ledger) Sets() []Set {
	return slices.SortedFunc(maps.Keys(l.sets), func(a, b Set) int {
		return cmp.Or(cmp.Compare(a.Raffle, b.Raffle), cmp.Compare(a.Size, b.Size))
	})
}

// find returns the journal and serial number of a key of the run. Only the exact form of a key counts.
func (l *Ledger) find(key string) (*book, uint32, bool) {
	for _, b := range l.books {
		rest, ok := strings.CutPrefix(key, b.prefix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(rest, 10, 32)
		if err == nil && strconv.FormatUint(n, 10) == rest {
			return b, uint32(n), true
		}
	}
	return nil, 0, false
}

func (l *Ledger) start(store string) report.Reconciliation {
	return report.Reconciliation{Store: store, Acknowledged: l.acked, Unknown: l.unknown, Retries: l.retries}
}

// examples bounds the lists of keys in a result.
const examples = 10

func example(list []string, b *book, serial uint32) []string {
	if len(list) < examples {
		list = append(list, b.prefix+strconv.FormatUint(uint64(serial), 10))
	}
	return list
}
