// Package project keeps the read model in Redis equal to the primary: it turns the logical stream into
// Redis commands, flushes them together with the checkpoint, and builds the model anew when it can't
// go on from where it stands.
package project

import (
	"errors"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// rowKinds label the metric of applied rows.
var rowKinds = [...]string{tables.Bids: "bids", tables.Raffles: "raffles", tables.Products: "products"}

// projector turns rows into the commands of a batch. It knows the columns by name, so that added ones
// are ignored and missing ones are an error (P6).
type projector struct {
	epoch readmodel.Epoch
	plans map[uint32]tables.Plan
	// sized are the (raffle, size) pairs whose membership was written already: most bids need none.
	sized map[set]struct{}
	// added counts, by size, the bids since the set over all raffles was trimmed last.
	added map[int16]int
	// commit is the transaction that the rows belong to, numbers the events so far of each raffle in it.
	commit  lsn.LSN
	part    uint64 // of the transaction, as it is cut into flushes
	numbers map[int64]uint64
	loading bool // a snapshot into an empty epoch
}

// maxSized bounds the memory of sized: about 64 bytes each.
const maxSized = 1_000_000

func newProjector(e readmodel.Epoch) *projector {
	return &projector{epoch: e, plans: make(map[uint32]tables.Plan), sized: make(map[set]struct{}),
		added: make(map[int16]int), numbers: make(map[int64]uint64)}
}

// begin begins a transaction, whose commit record is at that position.
func (p *projector) begin(commit lsn.LSN) {
	p.commit, p.part = commit, 0
	clear(p.numbers)
}

// event makes an entry of the batch the next event of its raffle.
func (p *projector) event(b *batch, raffle int64, index int32) {
	p.numbers[raffle]++
	b.event(index, p.commit, p.numbers[raffle])
}

// describe makes the plan of a relation. Tables that the read model doesn't hold are ignored.
func (p *projector) describe(r *wal.Relation) error {
	plan, err := tables.NewPlan(r)
	p.plans[r.ID] = plan
	return err
}

// row records a change.
func (p *projector) row(b *batch, m *wal.Message) error {
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
	return p.change(b, plan, old, now)
}

// change takes one row out and puts another in; either may be nil. An error is one of the table: a row whose
// values have no packing only spoils what it would be a part of.
func (p *projector) change(b *batch, plan tables.Plan, old, now *wal.Row) error {
	b.changes++
	b.rows[plan.Table]++
	switch plan.Table {
	case tables.Bids:
		return p.bid(b, plan, old, now)
	case tables.Raffles:
		return p.raffle(b, plan, old, now)
	default:
		return p.product(b, plan, old, now)
	}
}

// bid skips an update that changes nothing that is kept: idempotency keys are forgotten in great numbers.
func (p *projector) bid(b *batch, plan tables.Plan, old, now *wal.Row) error {
	was, is := imageOf(old, plan.Bid), imageOf(now, plan.Bid)
	if was.poison != nil || is.poison != nil {
		p.poisoned(b, plan.Table, was.poison, is.poison, tables.PartsOfBid(was.v), tables.PartsOfBid(is.v), was.v.RaffleID, is.v.RaffleID)
	}
	if was.err != nil || is.err != nil {
		return errors.Join(was.err, is.err)
	}
	if was.there && is.there && was.v == is.v {
		return nil
	}
	if was.there {
		p.event(b, was.v.RaffleID, b.bid(was.v, true))
	}
	s := set{is.v.RaffleID, is.v.Size}
	if is.there {
		p.size(b, s)
		p.event(b, is.v.RaffleID, b.bid(is.v, false))
		p.grown(b, is.v.Size)
	}
	if left := (set{was.v.RaffleID, was.v.Size}); was.there && (!is.there || left != s) {
		b.mayEmpty(left)
		delete(p.sized, left)
	}
	return nil
}

// grown counts the bids of a size and, once in SizeKept/10 of them, queues a trim of the size's set over all raffles.
func (p *projector) grown(b *batch, size int16) {
	if p.added[size]++; p.added[size] >= readmodel.SizeKept/10 {
		p.added[size] = 0
		b.trimmed = append(b.trimmed, size)
	}
}

// size makes the size a member of its raffle's sizes, and of all sizes.
func (p *projector) size(b *batch, s set) {
	if _, ok := p.sized[s]; ok {
		return
	}
	if len(p.sized) >= maxSized {
		clear(p.sized)
	}
	p.sized[s] = struct{}{}
	appendSizeScript(&b.opens, openSize, p.epoch, s)
	if all := (set{size: s.size}); !has(p.sized, all) {
		p.sized[all] = struct{}{}
		b.opens.Add("EVAL", openAll, "3", p.epoch.AllSizes(), p.epoch.SizeNewest(s.size), p.epoch.SizeFloor(s.size),
			strconv.Itoa(int(s.size)), readmodel.Part{Size: s.size}.String())
	}
}

func has(all map[set]struct{}, s set) bool {
	_, ok := all[s]
	return ok
}

func (p *projector) raffle(b *batch, plan tables.Plan, old, now *wal.Row) error {
	was, is := imageOf(old, plan.Raffle), imageOf(now, plan.Raffle)
	if was.poison != nil || is.poison != nil {
		p.poisoned(b, plan.Table, was.poison, is.poison, tables.PartsOfRaffle(was.v), tables.PartsOfRaffle(is.v), was.v.ID, is.v.ID)
	}
	if was.err != nil || is.err != nil {
		return errors.Join(was.err, is.err)
	}
	b.version = readmodel.EventID{LSN: p.commit, N: p.part}
	if was.there {
		b.lists.Add("ZREM", p.epoch.Raffles(), string(was.v.AppendMember(nil)))
	}
	if is.there {
		p.enter(b, is.v, old == nil || was.v.ID != is.v.ID)
	}
	if was.there && is.there && was.v.ClosedAt == 0 && is.v.ClosedAt != 0 {
		p.event(b, is.v.ID, b.closed(is.v))
	}
	if old != nil && was.v.ID != 0 && (now == nil || was.v.ID != is.v.ID) {
		b.entered = append(b.entered, entered{raffle: was.v.ID})
		b.others.Add("DEL", p.epoch.Raffle(was.v.ID))
		// Bids may be left: their memberships are theirs, only the mark is the raffle's.
		appendGone(&b.opens, p.epoch, was.v.ID)
	}
	return nil
}

// enter writes a raffle's entry and, if it is new, its mark.
func (p *projector) enter(b *batch, v readmodel.Raffle, isNew bool) {
	entry := string(v.AppendMember(nil))
	b.bytes += 2 * len(entry)
	b.entered = append(b.entered, entered{v.ID, entry})
	b.others.Add("SET", p.epoch.Raffle(v.ID), entry)
	b.lists.Add("ZADD", p.epoch.Raffles(), decimal(v.EndsAt), entry)
	switch {
	case p.loading:
		b.opens.Add("SADD", p.epoch.Sizes(v.ID), readmodel.RaffleKnown)
	case isNew:
		b.bytes += openBytes
		b.opens.Add("EVAL", openRaffle, "4", p.epoch.Sizes(v.ID), readmodel.PoisonedKey, readmodel.ReloadKey, p.epoch.AllSizes(),
			readmodel.Part{Raffle: v.ID}.String(), p.epoch.NewestPrefix(v.ID), p.epoch.HighestPrefix(v.ID), openSizes)
	}
}

// entered is what a raffle's entry has become; "" if the raffle is gone.
type entered struct {
	raffle int64
	entry  string
}

func (p *projector) product(b *batch, plan tables.Plan, old, now *wal.Row) error {
	was, is := imageOf(old, plan.ID), imageOf(now, plan.Product)
	if was.err != nil || is.err != nil {
		return errors.Join(was.err, is.err)
	}
	b.version = readmodel.EventID{LSN: p.commit, N: p.part}
	if old != nil {
		b.lists.Add("HDEL", p.epoch.Products(), decimal(was.v))
		b.lists.Add("SREM", readmodel.PoisonedKey, productName(was.v))
	}
	if is.poison != nil {
		b.spoiled = append(b.spoiled, poison{table: plan.Table, name: productName(is.v.ID), row: is.v.ID, err: is.poison})
		if !p.loading {
			b.lists.Add("SADD", readmodel.PoisonedKey, productName(is.v.ID))
		}
	}
	if is.there {
		entry := string(is.v.AppendEntry(nil))
		b.bytes += len(entry)
		b.lists.Add("HSET", p.epoch.Products(), decimal(is.v.ID), entry)
	}
	return nil
}

func decimal(v int64) string { return strconv.FormatInt(v, 10) }
