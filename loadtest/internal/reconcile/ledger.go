package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Set is a raffle and a size, for which the read model keeps a set in each order.
type Set struct {
	Raffle uint32
	Size   int16
}

// Ledger holds the outcomes that journals say, and which of the bids were found. It takes some 30 bytes for each key.
type Ledger struct {
	books    []*book
	sets     map[Set]struct{}
	after    int64  // bids of the run have higher ids
	stored   prints // by id - after: every row since the run began, also the rows of other bidders
	complete bool
	entries  int64
	acked    int64
	unknown  int64
	retries  int64
}

// book is one journal, by serial number.
type book struct {
	prefix  string
	outcome []int64 // the bid's id if acknowledged, or one of the following; 0 was never sent or its record is lost
	sent    prints  // what the row must hold; without a time unless acknowledged
	seen    bitmap  // in PostgreSQL, under any id
	matched bitmap  // in PostgreSQL, under the acknowledged id
	late    map[uint32]int64
	gone    bitmap // cancelled
	doubt   bitmap // perhaps cancelled
}

const (
	outcomeUnknown = -1
	outcomeRefused = -2
)

// Load reads the journals of a run.
func Load(journals ...string) (*Ledger, error) {
	l := &Ledger{sets: make(map[Set]struct{}), complete: true}
	for i, path := range journals {
		b := &book{late: make(map[uint32]int64)}
		var twice error
		h, complete, err := readJournal(path, func(e Entry) {
			if err := b.enter(e); err != nil && twice == nil {
				twice = fmt.Errorf("journal %s: %w", path, err)
			}
			l.count(e)
		})
		if err = cmp.Or(err, twice); err != nil {
			return nil, err
		}
		if i > 0 && h.after != l.after {
			return nil, fmt.Errorf("journal %s: it is of another run than %s", path, journals[0])
		}
		l.after, l.complete = h.after, l.complete && complete
		b.prefix = h.prefix + "-"
		l.books = append(l.books, b)
	}
	return l, nil
}

func (l *Ledger) count(e Entry) {
	if e.State == Cancelled || e.State == PerhapsCancelled {
		return
	}
	l.entries++
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
	switch placed := b.outcome[e.Serial] > 0; {
	case placed && e.State == Cancelled:
		b.gone.add(int64(e.Serial))
		return nil
	case placed && e.State == PerhapsCancelled:
		b.doubt.add(int64(e.Serial))
		return nil
	}
	if b.outcome[e.Serial] != 0 {
		return fmt.Errorf("two entries of key %d", e.Serial)
	}
	switch {
	case e.State == Acknowledged && e.ID > 0:
		b.outcome[e.Serial] = e.ID
	case e.State == Unknown:
		b.outcome[e.Serial] = outcomeUnknown
		e.Created = 0
	case e.State == Refused:
		b.outcome[e.Serial] = outcomeRefused
	default:
		return fmt.Errorf("key %d has state %d and bid %d", e.Serial, e.State, e.ID)
	}
	if !b.sent.set(int64(e.Serial), e.row().print()) {
		return fmt.Errorf("key %d is too high", e.Serial)
	}
	return nil
}

// Acknowledged is the number of keys that were answered with 201, Entries that of all keys.
func (l *Ledger) Acknowledged() int64 { return l.acked }

// Entries is the number of keys in the journals.
func (l *Ledger) Entries() int64 { return l.entries }

// Complete says whether all journals were closed. A journal that was not closed may lack its last second.
func (l *Ledger) Complete() bool { return l.complete }

// Compare holds the ledger against the database and then against Redis, through the API at base.
func (l *Ledger) Compare(ctx context.Context, database, base string, progress Progress) []report.Reconciliation {
	if database == "" {
		return []report.Reconciliation{{Store: "Postgres", Problem: "no database is known to compare with: set LOADTEST_DATABASE_URL, of a role that reads bids"}}
	}
	postgres, lsn := l.Postgres(ctx, database, progress)
	if postgres.Problem != "" {
		return []report.Reconciliation{postgres}
	}
	door := frontdoor.New(base)
	defer door.Close()
	return []report.Reconciliation{postgres, l.Redis(ctx, door, lsn, progress)}
}

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

// missable says whether the acknowledged bid of a key may be absent.
func (b *book) missable(serial int) bool {
	n := int64(serial)
	return b.gone.has(n) || b.doubt.has(n) && !b.matched.has(n)
}

func (l *Ledger) start(store string) report.Reconciliation {
	return report.Reconciliation{Store: store, Acknowledged: l.acked, Unknown: l.unknown, Retries: l.retries}
}

// examples bounds the lists of keys and differences in a result.
const examples = 10

func example(list []string, b *book, serial uint32) []string {
	return few(list, b.prefix+strconv.FormatUint(uint64(serial), 10))
}

func few(list []string, s string) []string {
	if len(list) < examples {
		list = append(list, s)
	}
	return list
}
