package drill

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bid is a bid as answers and rows show it.
type Bid struct {
	ID       int64 `json:"id"`
	Raffle   int64 `json:"raffle_id"`
	Size     int16 `json:"size"`
	Price    int32 `json:"price"`
	Quantity int32 `json:"quantity"`
}

// State is what is known of a logical bid, however often it was sent.
type State uint8

// The states of a logical bid.
const (
	Open         State = iota // not known yet
	Acknowledged              // a 201 was received
	Refused                   // an answer said that it is not taken, and will not be
)

// Entry is a logical bid: one key, sent until the outcome is known.
type Entry struct {
	Bid    // ID is 0 unless acknowledged
	User   int
	Serial int
	State  State
	LSN    string // Commit-LSN of the 201
	// Doubt: some answer left it open whether the bid was placed. Replayed: the 201 was the repetition of an earlier
	// one, so an attempt in doubt had placed the bid.
	Doubt, Replayed bool
	Tries           int
	Reason          string // of the refusal
	lost            bool
}

// seen is a bid with an id that some answer showed.
type seen struct {
	Bid
	path string // that answered
	at   time.Time
}

// Book keeps the logical bids of one drill and every bid that an answer showed. It is safe for concurrent use.
type Book struct {
	prefix string // of the keys
	base   int64  // the highest id before the drill

	mu      sync.Mutex
	entries []*Entry
	acked   []*Entry
	shown   map[int64]seen
	wrong   []string // reads that are wrong by themselves
	nWrong  int
}

func newBook(prefix string, base int64) *Book {
	return &Book{prefix: prefix, base: base, shown: make(map[int64]seen)}
}

// key is the idempotency key of a serial number.
func (b *Book) key(serial int) string { return b.prefix + "-" + strconv.Itoa(serial) }

// serial is the inverse of key.
func (b *Book) serial(key string) (int, bool) {
	rest, ok := strings.CutPrefix(key, b.prefix+"-")
	n, err := strconv.Atoi(rest)
	return n, ok && err == nil && n >= 0 && n < len(b.entries)
}

// add enters a new bid. Its price and quantity are those of no other.
func (b *Book) add(raffle int64, size int16, user int) *Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.entries)
	e := &Entry{Serial: n, User: user, Bid: Bid{Raffle: raffle, Size: size, Price: int32(1000 + n), Quantity: int32(1 + n%7)}}
	b.entries = append(b.entries, e)
	return e
}

// acknowledge notes a 201.
func (b *Book) acknowledge(e *Entry, id int64, lsn string, replayed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.State, e.ID, e.LSN, e.Replayed = Acknowledged, id, lsn, replayed
	b.acked = append(b.acked, e)
}

// recent is the number of the latest acknowledged bids among which readers choose.
const recent = 200

// pick returns one of the latest acknowledged bids.
func (b *Book) pick() (Entry, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.acked) == 0 {
		return Entry{}, false
	}
	return *b.acked[len(b.acked)-1-rand.IntN(min(recent, len(b.acked)))], true
}

// show enters the bids of an answer. A bid that two answers show differently is wrong at once; whether it is there at
// all is seen in the end.
func (b *Book) show(path string, at time.Time, bids ...Bid) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bid := range bids {
		if bid.ID <= b.base {
			continue
		}
		before, ok := b.shown[bid.ID]
		switch {
		case !ok:
			b.shown[bid.ID] = seen{bid, path, at}
		case before.Bid != bid:
			b.complain(fmt.Sprintf("%s shows %+v, %s showed %+v", path, bid, before.path, before.Bid))
		}
	}
}

// fault notes a wrong read.
func (b *Book) fault(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complain(what)
}

// kept bounds the list of wrong reads, and any list of examples.
const kept = 10

func (b *Book) complain(what string) {
	b.nWrong++
	if len(b.wrong) < kept {
		b.wrong = append(b.wrong, what)
	}
}

// of returns the acknowledged ids of a raffle, but not those known to be lost.
func (b *Book) of(raffle int64) (ids []int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.acked {
		if e.Raffle == raffle && !e.lost {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

// doubt notes that an attempt may have placed the bid.
func (b *Book) doubt(e *Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.Doubt = true
}

// refuse notes that the bid is not taken.
func (b *Book) refuse(e *Entry, why string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e.State, e.Reason = Refused, why
}
