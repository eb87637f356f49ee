package projection

import (
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
)

// The limits of one write. Redis answers nobody else during a MULTI, which takes some 4 us for each bid, and that time
// must stay well within a reader's budget of 50 ms.
const (
	MaxChanges = 2000
	maxBytes   = 1 << 20
)

// Batch collects what one write needs: whole transactions, or a part of a transaction that is larger than a batch. Its
// memory is reused.
//
// Bids of one set are grouped into runs of additions only or removals only, and each run becomes one variadic command
// per order. Runs keep their order, so an addition and a removal of the same bid keep theirs. Different sets do not
// depend on each other. The events of one transaction and raffle become one entry of the raffle's stream.
type Batch struct {
	epoch   readmodel.Epoch
	arena   []byte // the packed members of entries
	entries []entry
	books   chains[bookKey] // by (raffle, size)
	sizes   chains[sizeKey] // by size
	live    chains[liveKey] // by (transaction, raffle)
	opens   resp.Commands   // written before the chains: marks and sentinels of what is new
	others  resp.Commands   // in order, on keys that no chain has
	lists   resp.Commands   // in order, on the lists of raffles and products and the notes of poisoned products
	emptied map[readmodel.Part]struct{}
	trimmed []int16          // sizes whose set over all raffles may have grown too large
	healed  []readmodel.Part // parts with a row that had no packing and is now right or gone
	removes bool             // an entry removes a bid
	plain   bool             // no probe: the keys need not exist before
	probe   probe

	Load    // of its rows
	Commits int
	Rows    [tables.Products + 1]int // by table
	Spoiled []Poison
	Entered []Entered // the entries of raffles, in order
	Traced  []Traced  // the first transactions of which the stream names the span, maxTraced at most

	lsn  lsn.LSN        // 0: no transaction ends in this batch, and no position was noted
	last Commit         // of the last transaction that ends in this batch
	open bool           // the last transaction continues in the next batch
	tail lsn.LSN        // where the commit record of the last transaction begins, if it is open
	beat heartbeat.Beat // the last heartbeat in the batch
	// settled says that a transaction ends in this batch that began in another one. Nothing more is added, so that the
	// read model is whole for a moment after each large transaction, however many of them wait.
	settled bool
	// version is the last transaction that changed a raffle or a product, and the part of it; zero: none. A reader that
	// sees it does not take half of a transaction for the whole.
	version readmodel.EventID
}

// Commit identifies a transaction by where its commit record begins and the time in that record. If a primary has
// another transaction there, it has another history.
type Commit struct {
	Begins lsn.LSN
	At     int64 // microseconds since the Unix epoch
}

type (
	bookKey struct {
		readmodel.Part // of a raffle and size
		remove         bool
	}
	sizeKey struct {
		size   int16
		remove bool
	}
	liveKey struct {
		commit lsn.LSN
		raffle int64
	}
)

// entry is a bid that is added or removed. A close or a reset is an entry that is only an event.
type entry struct {
	kind            readmodel.EventKind
	size            int16
	begin, end      int32 // of the member in the arena, or of the packed event
	raffle          int64
	newest, highest int64 // the scores in both orders, which are whole numbers
	number          uint64
	next            [3]int32
}

func (e *entry) hasBid() bool { return e.kind == readmodel.EventBid || e.kind == readmodel.EventCancel }

// The chains of an entry, as an index of entry.next.
const (
	inBook = iota
	inSize
	inLive
)

// NewBatch makes an empty batch for an epoch.
func NewBatch(e readmodel.Epoch) *Batch {
	b := &Batch{epoch: e, emptied: make(map[readmodel.Part]struct{})}
	b.books = chains[bookKey]{which: inBook, latest: make(map[bookKey]int32)}
	b.sizes = chains[sizeKey]{which: inSize, latest: make(map[sizeKey]int32)}
	b.live = chains[liveKey]{which: inLive, latest: make(map[liveKey]int32)}
	return b
}

// Reset empties the batch for further use.
func (b *Batch) Reset() {
	clear(b.emptied)
	b.books.reset()
	b.sizes.reset()
	b.live.reset()
	b.opens.Reset()
	b.others.Reset()
	b.lists.Reset()
	*b = Batch{epoch: b.epoch, arena: b.arena[:0], entries: b.entries[:0], books: b.books, sizes: b.sizes, live: b.live,
		opens: b.opens, others: b.others, lists: b.lists, emptied: b.emptied, trimmed: b.trimmed[:0],
		Spoiled: b.Spoiled[:0], healed: b.healed[:0], Entered: b.Entered[:0], Traced: b.Traced[:0], plain: b.plain}
}

// maxTraced is how many links a span has. It bounds the memory of a batch that waits, because transactions without rows do
// not fill it.
const maxTraced = 128

// Trace notes that a transaction belongs to a trace, unless the batch has enough of those.
func (b *Batch) Trace(t Traced) {
	if len(b.Traced) < maxTraced {
		b.Traced = append(b.Traced, t)
	}
}

// Traced is a transaction that belongs to a trace.
type Traced struct {
	Parent   string    // its span, in the form of the header traceparent
	LSN      lsn.LSN   // the end of its commit record
	Received time.Time // when its commit was received
}

// Load is how much rows add to a batch. It depends only on the rows.
type Load struct {
	Changes int
	Bytes   int // estimated, of Redis commands
}

// IsFull says whether a batch may take no more.
func (l Load) IsFull() bool { return l.Changes >= MaxChanges || l.Bytes >= maxBytes }

// Since is the load that was added after before.
func (l Load) Since(before Load) Load {
	return Load{l.Changes - before.Changes, l.Bytes - before.Bytes}
}

// TakesMore says whether further transactions may be added.
func (b *Batch) TakesMore() bool { return !b.IsFull() && !b.open && !b.settled }

// Ends returns the position up to which the batch leads; 0: none. unfinished is where the commit record begins of the
// transaction that continues in the next batch; 0: none does.
func (b *Batch) Ends() (at, unfinished lsn.LSN) { return b.lsn, b.tail }

// Reach notes a position before which nothing remains to be applied.
func (b *Batch) Reach(at lsn.LSN) { b.lsn = at }

// Checkpoint returns the checkpoint after this batch. Only a commit clears Applying. After a restart in the middle of a
// transaction, a keepalive's position may arrive before the transaction is sent again, and it must not make half a
// transaction look complete. now is the time on the primary's clock, so that the delay is measured on one clock.
func (b *Batch) Checkpoint(c readmodel.Checkpoint, now time.Time) readmodel.Checkpoint {
	c.LSN = max(c.LSN, b.lsn)
	if b.Commits > 0 {
		c.Commit, c.CommitAt = b.last.Begins, b.last.At
	}
	if b.open && !c.Applying {
		c.Phase++
	}
	c.Applying = b.open || c.Applying && b.Commits == 0
	if b.beat != (heartbeat.Beat{}) {
		c.Beat, c.Delay = b.beat, max(now.UnixMicro()-b.beat.At, 0)/1000
	}
	return c
}

// Commands is the number of commands on single keys, marks and lists.
func (b *Batch) Commands() int { return b.opens.N + b.others.N + b.lists.N }

// bid adds a bid to its sets, or removes it from them.
func (b *Batch) bid(v readmodel.Bid, remove bool) int32 {
	begin := len(b.arena)
	b.arena = v.AppendMember(b.arena)
	b.Bytes += 3 * (len(b.arena) - begin)
	index := int32(len(b.entries))
	e := entry{kind: readmodel.EventBid, size: v.Size, raffle: v.RaffleID, begin: int32(begin), end: int32(len(b.arena)),
		newest: int64(v.NewestScore()), highest: int64(v.HighestScore())}
	if remove {
		e.kind = readmodel.EventCancel
	}
	b.entries = append(b.entries, e)
	b.chain(index, true, true)
	return index
}

// chain adds the bid of an entry to the chains of its raffle's sets, of the set of its size over all raffles, or both.
func (b *Batch) chain(index int32, book, size bool) {
	e := &b.entries[index]
	remove := e.kind == readmodel.EventCancel
	key, all := bookKey{readmodel.Part{Raffle: e.raffle, Size: e.size}, remove}, sizeKey{e.size, remove}
	if b.removes = b.removes || remove; b.removes {
		b.books.end(bookKey{key.Part, !remove})
		b.sizes.end(sizeKey{e.size, !remove})
	}
	if book {
		b.books.add(b.entries, index, key)
	}
	if size {
		b.sizes.add(b.entries, index, all)
	}
}

// closed adds the close of a raffle, which is only an event.
func (b *Batch) closed(v readmodel.Raffle) int32 {
	return b.told(v.ID, readmodel.Event{Kind: readmodel.EventClose, ClosedAt: v.ClosedAt, ClosingPrice: v.ClosingPrice})
}

// told adds an event that is not about a bid.
func (b *Batch) told(raffle int64, e readmodel.Event) int32 {
	begin := len(b.arena)
	b.arena = e.AppendEvent(b.arena)
	b.entries = append(b.entries, entry{kind: e.Kind, raffle: raffle, begin: int32(begin), end: int32(len(b.arena))})
	return int32(len(b.entries) - 1)
}

// event makes the entry an event: the one with this number in its raffle and transaction.
func (b *Batch) event(index int32, commit lsn.LSN, number uint64) {
	b.entries[index].number = number
	key := liveKey{commit, b.entries[index].raffle}
	b.live.add(b.entries, index, key)
}

// mayEmpty queues a check that runs after all other commands of the batch: if the set has no bids left, its size is
// removed from the sizes of its raffle.
func (b *Batch) mayEmpty(s readmodel.Part) { b.emptied[s] = struct{}{} }
