// Package projection turns changes of rows into the Redis commands of a batch. It is pure: it has no connection to
// PostgreSQL or Redis.
package projection

import (
	"errors"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// ErrTruncated forces a rebuild, because the stream names the tables that were emptied and not their rows.
var ErrTruncated = errors.New("a table of the read model was truncated")

// Projector turns rows into the commands of a batch. It finds columns by name, so that added columns are ignored and
// missing ones are an error (P6).
type Projector struct {
	epoch readmodel.Epoch
	plans map[uint32]tables.Plan
	// sized are the sizes of raffles, and the sizes over all raffles, that Redis has as members already, so that most
	// bids need no script.
	sized map[readmodel.Part]struct{}
	// added counts the bids of each size since the set over all raffles was last trimmed.
	added map[int16]int
	// commit is the transaction that the rows belong to. numbers counts the events of each raffle in it so far.
	commit  lsn.LSN
	part    uint64 // counts the cuts of the transaction into batches
	numbers map[int64]uint64
	loading bool // the rows are of a snapshot, for an empty epoch
}

// maxSized bounds the memory of sized, which takes about 64 bytes for each.
const maxSized = 1_000_000

// NewProjector makes a projector of the stream to an epoch.
func NewProjector(e readmodel.Epoch) *Projector {
	return &Projector{epoch: e, plans: make(map[uint32]tables.Plan), sized: make(map[readmodel.Part]struct{}),
		added: make(map[int16]int), numbers: make(map[int64]uint64)}
}

// ForSnapshot makes a projector and a batch for the rows of a snapshot, which go into an empty epoch.
func ForSnapshot(e readmodel.Epoch) (*Projector, *Batch) {
	p, b := NewProjector(e), NewBatch(e)
	p.loading, b.plain = true, true
	return p, b
}

// Begin begins a transaction whose commit record is at commit.
func (p *Projector) Begin(commit lsn.LSN) {
	p.commit, p.part = commit, 0
	clear(p.numbers)
}

// Cut ends a batch within the transaction.
func (p *Projector) Cut(b *Batch) {
	b.open, b.tail = true, p.commit
	p.part++
}

// Commit ends the transaction in the batch that has its last rows. end is the end of its commit record. beat is the
// heartbeat in the transaction, if any.
func (p *Projector) Commit(b *Batch, c Commit, end lsn.LSN, beat heartbeat.Beat) {
	b.lsn, b.last, b.open, b.settled = end, c, false, p.part > 0
	b.Commits++
	if beat != (heartbeat.Beat{}) {
		b.beat = beat
	}
}

// event makes an entry of the batch the next event of its raffle.
func (p *Projector) event(b *Batch, raffle int64, index int32) {
	p.numbers[raffle]++
	b.event(index, p.commit, p.numbers[raffle])
}

// Describe makes the plan of a relation. The rows of tables that the read model does not hold are ignored.
func (p *Projector) Describe(r *wal.Relation) error {
	plan, err := tables.NewPlan(r)
	p.plans[r.ID] = plan
	return err
}

// Row adds a change of the stream to a batch.
func (p *Projector) Row(b *Batch, m *wal.Message) error {
	plan := p.plans[m.Relation.ID]
	if plan.Table == tables.Other {
		return nil
	}
	var old, now *wal.Row
	if m.Kind != wal.Insert {
		old = &m.Old
	}
	if m.Kind != wal.Delete {
		now = &m.New
	}
	return p.Change(b, plan, old, now)
}

// Change removes the old row and adds the new one; either may be nil. An error means that the table does not fit. A row
// with a value that has no packing is no error; it spoils its parts.
func (p *Projector) Change(b *Batch, plan tables.Plan, old, now *wal.Row) error {
	b.Changes++
	b.Rows[plan.Table]++
	switch plan.Table {
	case tables.Bids:
		return p.bid(b, plan, old, now)
	case tables.Raffles:
		return p.raffle(b, plan, old, now)
	default:
		return p.product(b, plan, old, now)
	}
}

// bid skips an update that changes nothing the read model holds, because idempotency keys are forgotten in great
// numbers.
func (p *Projector) bid(b *Batch, plan tables.Plan, old, now *wal.Row) error {
	was, is := ImageOf(old, plan.Bid), ImageOf(now, plan.Bid)
	if was.Poison != nil || is.Poison != nil {
		p.poisoned(b, plan.Table, was.Poison, is.Poison, tables.PartsOfBid(was.V), tables.PartsOfBid(is.V), was.V.RaffleID, is.V.RaffleID)
	}
	if was.Err != nil || is.Err != nil {
		return errors.Join(was.Err, is.Err)
	}
	if was.There && is.There && was.V == is.V {
		return nil
	}
	if was.There {
		p.event(b, was.V.RaffleID, b.bid(was.V, true))
	}
	s := readmodel.Part{Raffle: is.V.RaffleID, Size: is.V.Size}
	if is.There {
		p.size(b, s)
		p.event(b, is.V.RaffleID, b.bid(is.V, false))
		p.grown(b, is.V.Size)
	}
	if left := (readmodel.Part{Raffle: was.V.RaffleID, Size: was.V.Size}); was.There && (!is.There || left != s) {
		b.mayEmpty(left)
		delete(p.sized, left)
	}
	return nil
}

// grown counts the bids of a size and, once in SizeKept/10 of them, queues a trim of the size's set over all raffles.
func (p *Projector) grown(b *Batch, size int16) {
	if p.added[size]++; p.added[size] >= readmodel.SizeKept/10 {
		p.added[size] = 0
		b.trimmed = append(b.trimmed, size)
	}
}

// size makes a size a member of its raffle's sizes and of all sizes.
func (p *Projector) size(b *Batch, s readmodel.Part) {
	if _, ok := p.sized[s]; ok {
		return
	}
	if len(p.sized) >= maxSized {
		clear(p.sized)
	}
	p.sized[s] = struct{}{}
	appendSizeScript(&b.opens, openSize, p.epoch, s)
	if all := (readmodel.Part{Size: s.Size}); !has(p.sized, all) {
		p.sized[all] = struct{}{}
		b.opens.Add("EVAL", openAll, "3", p.epoch.AllSizes(), p.epoch.SizeNewest(s.Size), p.epoch.SizeFloor(s.Size),
			strconv.Itoa(int(s.Size)), all.String())
	}
}

func has(all map[readmodel.Part]struct{}, s readmodel.Part) bool {
	_, ok := all[s]
	return ok
}

func (p *Projector) raffle(b *Batch, plan tables.Plan, old, now *wal.Row) error {
	was, is := ImageOf(old, plan.Raffle), ImageOf(now, plan.Raffle)
	if was.Poison != nil || is.Poison != nil {
		p.poisoned(b, plan.Table, was.Poison, is.Poison, tables.PartsOfRaffle(was.V), tables.PartsOfRaffle(is.V), was.V.ID, is.V.ID)
	}
	if was.Err != nil || is.Err != nil {
		return errors.Join(was.Err, is.Err)
	}
	b.version = readmodel.EventID{LSN: p.commit, N: p.part}
	if was.There {
		b.lists.Add("ZREM", p.epoch.Raffles(), string(was.V.AppendMember(nil)))
	}
	if is.There {
		p.enter(b, is.V, old == nil || was.V.ID != is.V.ID)
	}
	if was.There && is.There && was.V.ClosedAt == 0 && is.V.ClosedAt != 0 {
		p.event(b, is.V.ID, b.closed(is.V))
	}
	if old != nil && was.V.ID != 0 && (now == nil || was.V.ID != is.V.ID) {
		b.Entered = append(b.Entered, Entered{Raffle: was.V.ID})
		b.others.Add("DEL", p.epoch.Raffle(was.V.ID))
		// Bids of the raffle may be left, with their sets and sizes. Only the mark belongs to the raffle itself.
		appendGone(&b.opens, p.epoch, was.V.ID)
	}
	return nil
}

// enter writes a raffle's entry and, if it is new, its mark.
func (p *Projector) enter(b *Batch, v readmodel.Raffle, isNew bool) {
	entry := string(v.AppendMember(nil))
	b.Bytes += 2 * len(entry)
	b.Entered = append(b.Entered, Entered{v.ID, entry})
	b.others.Add("SET", p.epoch.Raffle(v.ID), entry)
	b.lists.Add("ZADD", p.epoch.Raffles(), decimal(v.EndsAt), entry)
	switch {
	case p.loading:
		b.opens.Add("SADD", p.epoch.Sizes(v.ID), readmodel.RaffleKnown)
	case isNew:
		b.Bytes += openBytes
		b.opens.Add("EVAL", openRaffle, "4", p.epoch.Sizes(v.ID), readmodel.PoisonedKey, readmodel.ReloadKey, p.epoch.AllSizes(),
			readmodel.Part{Raffle: v.ID}.String(), p.epoch.NewestPrefix(v.ID), p.epoch.HighestPrefix(v.ID), openSizes)
	}
}

// Entered is what a raffle's entry has become; "" if the raffle is gone.
type Entered struct {
	Raffle int64
	Entry  string
}

func (p *Projector) product(b *Batch, plan tables.Plan, old, now *wal.Row) error {
	was, is := ImageOf(old, plan.ID), ImageOf(now, plan.Product)
	if was.Err != nil || is.Err != nil {
		return errors.Join(was.Err, is.Err)
	}
	b.version = readmodel.EventID{LSN: p.commit, N: p.part}
	if old != nil {
		b.lists.Add("HDEL", p.epoch.Products(), decimal(was.V))
		b.lists.Add("SREM", readmodel.PoisonedKey, ProductName(was.V))
	}
	if is.Poison != nil {
		b.Spoiled = append(b.Spoiled, Poison{Table: plan.Table, Name: ProductName(is.V.ID), Row: is.V.ID, Err: is.Poison})
		if !p.loading {
			b.lists.Add("SADD", readmodel.PoisonedKey, ProductName(is.V.ID))
		}
	}
	if is.There {
		entry := string(is.V.AppendEntry(nil))
		b.Bytes += len(entry)
		b.lists.Add("HSET", p.epoch.Products(), decimal(is.V.ID), entry)
	}
	return nil
}

func decimal(v int64) string { return strconv.FormatInt(v, 10) }
