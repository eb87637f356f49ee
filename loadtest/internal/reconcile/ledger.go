package reconcile

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/frontdoor"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Set is a raffle and a size, for which the read model keeps a set in each order.
type Set struct {
	Raffle uint32
	Size   int16
}

// Ledger holds the outcomes that journals say, and which of the bids were found. It takes some 50 bytes for each key.
type Ledger struct {
	books    []*book
	sets     map[Set]struct{}
	after    int64 // bids of the run have higher ids
	rows     rows  // every row since the run began, also the rows of other bidders
	complete bool
	entries  int64
	acked    int64
	unknown  int64
	retries  int64
}

// book is one journal.
type book struct {
	prefix string
	keys   []key // by serial number
}

// key is what is known of an idempotency key.
type key struct {
	id      int64  // of the bid if it was acknowledged, or one of the following; 0 was never sent or its record is lost
	late    int64  // id of a bid without an answer that was found
	sent    uint64 // the print that the row must have; without a time unless acknowledged
	seen    bool   // in PostgreSQL, under any id
	matched bool   // in PostgreSQL, under the acknowledged id
	gone    bool   // cancelled
	doubt   bool   // perhaps cancelled
}

// key returns that of a serial number. It is valid until the next call.
func (b *book) key(serial uint32) *key {
	if missing := int(serial) + 1 - len(b.keys); missing > 0 {
		b.keys = append(b.keys, make([]key, missing)...)
	}
	return &b.keys[serial]
}

// name is the idempotency key of a serial number.
func (b *book) name(serial int) string { return b.prefix + strconv.Itoa(serial) }

const (
	outcomeUnknown = -1
	outcomeRefused = -2
)

// serialBits bounds the keys of a journal to what fits into memory.
const serialBits = 28

// Load reads the journals of a run.
func Load(journals ...string) (*Ledger, error) {
	l := &Ledger{sets: make(map[Set]struct{}), complete: true}
	for i, path := range journals {
		b := new(book)
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
	if e.Serial >= 1<<serialBits {
		return fmt.Errorf("key %d is too high", e.Serial)
	}
	k := b.key(e.Serial)
	switch {
	case k.id > 0 && e.State == Cancelled:
		k.gone = true
		return nil
	case k.id > 0 && e.State == PerhapsCancelled:
		k.doubt = true
		return nil
	case k.id != 0:
		return fmt.Errorf("two entries of key %d", e.Serial)
	case e.State == Acknowledged && e.ID > 0:
		k.id = e.ID
	case e.State == Unknown:
		k.id, e.Created = outcomeUnknown, 0
	case e.State == Refused:
		k.id = outcomeRefused
	default:
		return fmt.Errorf("key %d has state %d and bid %d", e.Serial, e.State, e.ID)
	}
	k.sent = e.row().print()
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
	door := frontdoor.New(base, readAttempts)
	defer door.Close()
	return []report.Reconciliation{postgres, l.Redis(ctx, door, client.Position(lsn), progress)}
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
		n, err := strconv.ParseUint(rest, 10, serialBits)
		if err == nil && strconv.FormatUint(n, 10) == rest {
			return b, uint32(n), true
		}
	}
	return nil, 0, false
}

// missable says whether the acknowledged bid of a key may be absent.
func (k key) missable() bool { return k.gone || k.doubt && !k.matched }

func (l *Ledger) start(store string) report.Reconciliation {
	return report.Reconciliation{Store: store, Acknowledged: l.acked, Unknown: l.unknown, Retries: l.retries}
}

// examples bounds the lists of keys and differences in a result.
const examples = 10

func few(list []string, s string) []string {
	if len(list) < examples {
		list = append(list, s)
	}
	return list
}
