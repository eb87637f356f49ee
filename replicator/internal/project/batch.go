package project

import (
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// Limits of one flush. Redis answers nobody else during a MULTI, 2 us and more for each of the two
// elements of a bid: a flush must stay well within a reader's budget of 50 ms.
const (
	maxChanges = 2000
	maxBytes   = 1 << 20
)

// batch collects what one flush writes: whole transactions or, when one is larger than a flush, a part
// of it. Its memory is reused.
//
// Bids of one (raffle, size) are grouped into runs of only additions or only removals, each of which
// becomes one variadic command per order. Runs keep their order, so an addition and a removal of the
// same bid do too; different sets don't depend on each other.
type batch struct {
	epoch   readmodel.Epoch
	arena   []byte // the packed members of entries
	entries []entry
	runs    []run
	latest  map[set]int32    // index of the set's latest run
	others  [][]any          // commands on other keys, in order
	emptied map[set]struct{} // sets that lost a bid for good, after all else
	args    []any

	changes int
	bytes   int
	commits int
	rows    [len(rowKinds)]int

	lsn     readmodel.LSN // 0: no transaction ends here and no position came
	open    bool          // the last transaction goes on in the next batch
	probeAt int64         // microseconds; 0: no probe
}

type set struct {
	raffle int64
	size   int16
}

type run struct {
	set        set
	remove     bool
	head, tail int32
	length     int
}

type entry struct {
	begin, end      int
	member          string
	newest, highest int64 // scores: both orders' are whole numbers
	next            int32
}

func newBatch(e readmodel.Epoch) *batch {
	return &batch{epoch: e, latest: make(map[set]int32), emptied: make(map[set]struct{})}
}

func (b *batch) reset() {
	clear(b.others)
	clear(b.entries)
	clear(b.args)
	clear(b.latest)
	clear(b.emptied)
	*b = batch{epoch: b.epoch, arena: b.arena[:0], entries: b.entries[:0], runs: b.runs[:0],
		latest: b.latest, emptied: b.emptied, others: b.others[:0], args: b.args[:0]}
}

func (b *batch) isFull() bool { return b.changes >= maxChanges || b.bytes >= maxBytes }

// bid adds a bid to or removes it from the two sets of its raffle and size.
func (b *batch) bid(v readmodel.Bid, remove bool) {
	begin := len(b.arena)
	b.arena = v.AppendMember(b.arena)
	index := int32(len(b.entries))
	b.entries = append(b.entries, entry{
		begin: begin, end: len(b.arena), next: -1,
		newest: int64(v.NewestScore()), highest: int64(v.HighestScore()),
	})
	b.bytes += 2 * (len(b.arena) - begin)

	s := set{v.RaffleID, v.Size}
	if i, ok := b.latest[s]; ok && b.runs[i].remove == remove {
		r := &b.runs[i]
		b.entries[r.tail].next = index
		r.tail = index
		r.length++
		return
	}
	b.latest[s] = int32(len(b.runs))
	b.runs = append(b.runs, run{set: s, remove: remove, head: index, tail: index, length: 1})
}

// mayEmpty has a set that lost a bid looked at when everything else is written.
func (b *batch) mayEmpty(s set) { b.emptied[s] = struct{}{} }

// command adds a command on keys that no run has.
func (b *batch) command(args ...any) {
	b.others = append(b.others, args)
	for _, a := range args {
		switch v := a.(type) {
		case string:
			b.bytes += len(v)
		case []byte:
			b.bytes += len(v)
		}
	}
}

// each calls do with the arguments of every command, which stay valid until reset. Members and scores
// are passed as pointers: a value in an interface would be an allocation each.
func (b *batch) each(do func(args []any)) {
	all := string(b.arena)
	for i := range b.entries {
		e := &b.entries[i]
		e.member = all[e.begin:e.end]
	}
	// No growth while parts of it are in use.
	if need := 8*len(b.runs) + 4*len(b.entries); cap(b.args) < need {
		b.args = make([]any, 0, need+need/4)
	}
	b.args = b.args[:0]
	for i := range b.runs {
		r := &b.runs[i]
		do(b.runArgs(r, b.epoch.Newest(r.set.raffle, r.set.size), false))
		do(b.runArgs(r, b.epoch.Highest(r.set.raffle, r.set.size), true))
	}
	for _, args := range b.others {
		do(args)
	}
	for s := range b.emptied {
		do([]any{"eval", forgetEmpty, 2, b.epoch.Newest(s.raffle, s.size), b.epoch.Sizes(s.raffle), int(s.size)})
	}
}

// forgetEmpty takes a size without bids out of the raffle's sizes: a member without its set means that
// the set was lost.
const forgetEmpty = `if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end`

func (b *batch) runArgs(r *run, key string, highest bool) []any {
	begin := len(b.args)
	if r.remove {
		b.args = append(b.args, "zrem", key)
	} else {
		b.args = append(b.args, "zadd", key)
	}
	for i := r.head; i >= 0; i = b.entries[i].next {
		e := &b.entries[i]
		switch {
		case r.remove:
		case highest:
			b.args = append(b.args, &e.highest)
		default:
			b.args = append(b.args, &e.newest)
		}
		b.args = append(b.args, &e.member)
	}
	return b.args[begin:len(b.args):len(b.args)]
}

func decimal(v int64) string { return strconv.FormatInt(v, 10) }
