package project

import (
	"encoding/binary"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
)

// Limits of one flush. Redis answers nobody else during a MULTI, some 4 us for each bid: a flush must
// stay well within a reader's budget of 50 ms.
const (
	maxChanges = 2000
	maxBytes   = 1 << 20
)

// batch collects what one flush writes: whole transactions or, when one is larger than a flush, a part
// of it. Its memory is reused.
//
// Bids of one set are grouped into runs of only additions or only removals, each of which becomes one
// variadic command per order. Runs keep their order, so an addition and a removal of the same bid do
// too; different sets don't depend on each other. The events of one transaction and raffle become one
// entry of the raffle's stream.
type batch struct {
	epoch   readmodel.Epoch
	arena   []byte // the packed members of entries
	entries []entry
	books   chains[bookKey] // by (raffle, size)
	sizes   chains[sizeKey] // by size
	live    chains[liveKey] // by (transaction, raffle)
	opens   resp.Commands   // what must be written before the chains: marks and sentinels of what is new
	others  resp.Commands   // on keys that no chain has, in order
	lists   resp.Commands   // on the lists of raffles and products and the notes of poisoned products, in order
	emptied map[set]struct{}
	trimmed []int16 // sizes whose set over all raffles may have grown too large
	spoiled []poison
	healed  []readmodel.Part // a row that had no packing is right or gone
	entered []entered        // raffles' entries, in order
	plain   bool             // its keys need not be there already
	probe   probe

	load    // of the rows in it
	commits int
	rows    [len(rowKinds)]int

	lsn  lsn.LSN        // 0: no transaction ends here and no position came
	last commit         // of the last transaction that ends here
	open bool           // the last transaction goes on in the next batch
	beat heartbeat.Beat // the last one in it
	// settled: a transaction ends here that began in another batch. Nothing is added, so that the read model is whole
	// for a moment after each large transaction, however many of them wait.
	settled bool
	// version is the last transaction that changed a raffle or a product, and its part: readers must not
	// take half of one for the whole. Zero: none did.
	version readmodel.EventID
}

type set struct {
	raffle int64
	size   int16
}

type (
	bookKey struct {
		set
		remove bool
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

// entry is a bid that is added or removed, or, as an event only, a close or a reset.
type entry struct {
	kind            readmodel.EventKind
	size            int16
	begin, end      int32 // of the member in the arena; of a close, of the packed event
	raffle          int64
	newest, highest int64 // scores: both orders' are whole numbers
	number          uint64
	next            [3]int32
}

func (e *entry) hasBid() bool { return e.kind == readmodel.EventBid || e.kind == readmodel.EventCancel }

// The chains that an entry can be in, as an index of entry.next.
const (
	inBook = iota
	inSize
	inLive
)

func newBatch(e readmodel.Epoch) *batch {
	b := &batch{epoch: e, emptied: make(map[set]struct{})}
	b.books = chains[bookKey]{which: inBook, latest: make(map[bookKey]int32)}
	b.sizes = chains[sizeKey]{which: inSize, latest: make(map[sizeKey]int32)}
	b.live = chains[liveKey]{which: inLive, latest: make(map[liveKey]int32)}
	return b
}

func (b *batch) reset() {
	clear(b.emptied)
	b.books.reset()
	b.sizes.reset()
	b.live.reset()
	b.opens.Reset()
	b.others.Reset()
	b.lists.Reset()
	*b = batch{epoch: b.epoch, arena: b.arena[:0], entries: b.entries[:0], books: b.books, sizes: b.sizes, live: b.live,
		opens: b.opens, others: b.others, lists: b.lists, emptied: b.emptied, trimmed: b.trimmed[:0],
		spoiled: b.spoiled[:0], healed: b.healed[:0], entered: b.entered[:0], plain: b.plain}
}

// load is how much rows bring into a flush. It depends on nothing but the rows.
type load struct {
	changes int
	bytes   int // about, in Redis commands
}

func (l load) isFull() bool { return l.changes >= maxChanges || l.bytes >= maxBytes }

func (l load) since(before load) load {
	return load{l.changes - before.changes, l.bytes - before.bytes}
}

// bid adds a bid to or removes it from the sets that it is in.
func (b *batch) bid(v readmodel.Bid, remove bool) int32 {
	begin := len(b.arena)
	b.arena = v.AppendMember(b.arena)
	b.bytes += 3 * (len(b.arena) - begin)
	index := int32(len(b.entries))
	e := entry{kind: readmodel.EventBid, size: v.Size, raffle: v.RaffleID, begin: int32(begin), end: int32(len(b.arena)),
		newest: int64(v.NewestScore()), highest: int64(v.HighestScore())}
	if remove {
		e.kind = readmodel.EventCancel
	}
	b.entries = append(b.entries, e)
	s := set{v.RaffleID, v.Size}
	b.books.add(b.entries, index, bookKey{s, remove}, bookKey{s, !remove})
	b.sizes.add(b.entries, index, sizeKey{v.Size, remove}, sizeKey{v.Size, !remove})
	return index
}

// closed adds the close of a raffle, which is an event only.
func (b *batch) closed(v readmodel.Raffle) int32 {
	return b.told(v.ID, readmodel.Event{Kind: readmodel.EventClose, ClosedAt: v.ClosedAt, ClosingPrice: v.ClosingPrice})
}

// told adds an event that is not of a bid.
func (b *batch) told(raffle int64, e readmodel.Event) int32 {
	begin := len(b.arena)
	b.arena = e.AppendEvent(b.arena)
	b.entries = append(b.entries, entry{kind: e.Kind, raffle: raffle, begin: int32(begin), end: int32(len(b.arena))})
	return int32(len(b.entries) - 1)
}

// event makes the entry the event of that number of its raffle and transaction.
func (b *batch) event(index int32, commit lsn.LSN, number uint64) {
	b.entries[index].number = number
	key := liveKey{commit, b.entries[index].raffle}
	b.live.add(b.entries, index, key, liveKey{})
}

// mayEmpty queues a check that runs after all other commands of the batch: if the set has no bids left, its size is
// removed from the sizes of its raffle.
func (b *batch) mayEmpty(s set) { b.emptied[s] = struct{}{} }

// append appends every command of the batch.
func (b *batch) append(c *resp.Commands) {
	appendAll(c, &b.opens)
	b.appendProbe(c)
	for i := range b.books.list {
		l := &b.books.list[i]
		b.appendBook(c, l, b.epoch.Newest(l.key.raffle, l.key.size), false)
		b.appendBook(c, l, b.epoch.Highest(l.key.raffle, l.key.size), true)
	}
	for i := range b.sizes.list {
		b.appendSize(c, &b.sizes.list[i])
	}
	for i := range b.live.list {
		b.appendLive(c, &b.live.list[i])
	}
	appendAll(c, &b.others)
	appendAll(c, &b.lists)
	if b.version.LSN != 0 {
		c.Add("SET", b.epoch.RafflesVersion(), b.version.String())
	}
	for s := range b.emptied {
		appendSizeScript(c, forgetEmpty, b.epoch, s)
	}
	for _, size := range b.trimmed {
		c.Add("EVAL", trimSize, "2", b.epoch.SizeNewest(size), b.epoch.SizeFloor(size), strconv.Itoa(readmodel.SizeKept))
	}
	b.appendSpoiled(c)
}

func appendAll(c, all *resp.Commands) {
	c.N += all.N
	c.Wire = append(c.Wire, all.Wire...)
}

func (b *batch) appendBook(c *resp.Commands, l *chain[bookKey], key string, highest bool) {
	beginChain(c, key, l.key.remove, l.length)
	for i := l.head; i >= 0; i = b.entries[i].next[inBook] {
		e := &b.entries[i]
		switch {
		case l.key.remove:
		case highest:
			c.Int(e.highest)
		default:
			c.Int(e.newest)
		}
		c.Bytes(b.arena[e.begin:e.end])
	}
}

// appendSize makes the members of the set over all raffles, which have the raffle behind the prefix
// (readmodel.Bid.AppendSizeMember), out of those of the raffle.
func (b *batch) appendSize(c *resp.Commands, l *chain[sizeKey]) {
	beginChain(c, b.epoch.SizeNewest(l.key.size), l.key.remove, l.length)
	var varint [binary.MaxVarintLen64]byte
	for i := l.head; i >= 0; i = b.entries[i].next[inSize] {
		e := &b.entries[i]
		if !l.key.remove {
			c.Int(e.newest)
		}
		member, raffle := b.arena[e.begin:e.end], binary.AppendUvarint(varint[:0], uint64(e.raffle))
		c.Head(len(member) + len(raffle))
		c.Wire = append(c.Wire, member[:readmodel.PrefixLen]...)
		c.Wire = append(c.Wire, raffle...)
		c.Wire = append(c.Wire, member[readmodel.PrefixLen:]...)
		c.Tail()
	}
}

func beginChain(c *resp.Commands, key string, remove bool, length int) {
	if remove {
		c.Begin(2 + length)
		c.String("ZREM")
	} else {
		c.Begin(2 + 2*length)
		c.String("ZADD")
	}
	c.String(key)
}

// appendLive makes one entry of all events of a raffle in a transaction (readmodel.Event.AppendEvent).
func (b *batch) appendLive(c *resp.Commands, l *chain[liveKey]) {
	var varint [binary.MaxVarintLen64]byte
	size := 0
	for i := l.head; i >= 0; i = b.entries[i].next[inLive] {
		e := &b.entries[i]
		size += int(e.end - e.begin)
		if e.hasBid() {
			size += 1 + len(binary.AppendUvarint(varint[:0], uint64(e.size)))
		}
	}
	id := readmodel.EventID{LSN: l.key.commit, N: b.entries[l.tail].number}
	c.Begin(8)
	for _, s := range []string{"XADD", b.epoch.Live(l.key.raffle), "MAXLEN", "~", liveEntries, id.String(), readmodel.LiveField} {
		c.String(s)
	}
	c.Head(size)
	for i := l.head; i >= 0; i = b.entries[i].next[inLive] {
		e := &b.entries[i]
		if e.hasBid() {
			c.Wire = binary.AppendUvarint(append(c.Wire, byte(e.kind)), uint64(e.size))
		}
		c.Wire = append(c.Wire, b.arena[e.begin:e.end]...)
	}
	c.Tail()
}

var liveEntries = strconv.Itoa(readmodel.LiveEntries)
