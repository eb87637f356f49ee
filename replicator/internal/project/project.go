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
	p.change(b, plan, old, now)
	return errors.Join(m.Old.Err(), m.New.Err())
}

// change takes one row out and puts another in; either may be nil.
func (p *projector) change(b *batch, plan tables.Plan, old, now *wal.Row) {
	b.changes++
	b.rows[plan.Table]++
	switch plan.Table {
	case tables.Bids:
		p.bid(b, plan, old, now)
	case tables.Raffles:
		p.raffle(b, plan, old, now)
	default:
		p.product(b, plan, old, now)
	}
}

// bid skips an update that changes nothing that is kept: idempotency keys are forgotten in great numbers.
func (p *projector) bid(b *batch, plan tables.Plan, old, now *wal.Row) {
	var was, is readmodel.Bid
	if old != nil {
		was = plan.Bid(old)
	}
	if now != nil {
		is = plan.Bid(now)
	}
	if was == is {
		return
	}
	if old != nil {
		p.event(b, was.RaffleID, b.bid(was, true))
	}
	if now != nil {
		p.event(b, is.RaffleID, b.bid(is, false))
		p.grown(b, is.Size)
	}
	s := set{is.RaffleID, is.Size}
	if left := (set{was.RaffleID, was.Size}); old != nil && left != s {
		b.mayEmpty(left)
		delete(p.sized, left)
	}
	if now != nil {
		p.size(b, s)
	}
}

// grown has a size's set over all raffles trimmed now and then.
func (p *projector) grown(b *batch, size int16) {
	if p.added[size]++; p.added[size] >= readmodel.SizeKept/10 {
		p.added[size] = 0
		b.trimmed = append(b.trimmed, size)
	}
}

// size makes the size a member of its raffle's sizes.
func (p *projector) size(b *batch, s set) {
	if _, ok := p.sized[s]; ok {
		return
	}
	if len(p.sized) >= maxSized {
		clear(p.sized)
	}
	p.sized[s] = struct{}{}
	b.others.Add("SADD", p.epoch.Sizes(s.raffle), strconv.Itoa(int(s.size)))
}

func (p *projector) raffle(b *batch, plan tables.Plan, old, now *wal.Row) {
	var was, is readmodel.Raffle
	b.version = readmodel.EventID{LSN: p.commit, N: p.part}
	if old != nil {
		was = plan.Raffle(old)
		b.others.Add("ZREM", p.epoch.Raffles(), string(was.AppendMember(nil)))
	}
	if now != nil {
		is = plan.Raffle(now)
		entry := string(is.AppendMember(nil))
		b.bytes += 2 * len(entry)
		b.others.Add("SET", p.epoch.Raffle(is.ID), entry)
		b.others.Add("SADD", p.epoch.Sizes(is.ID), readmodel.RaffleKnown)
		b.others.Add("ZADD", p.epoch.Raffles(), decimal(is.EndsAt), entry)
	}
	if old != nil && now != nil && was.ClosedAt == 0 && is.ClosedAt != 0 {
		p.event(b, is.ID, b.closed(is))
	}
	if old != nil && (now == nil || was.ID != is.ID) {
		b.others.Add("DEL", p.epoch.Raffle(was.ID), p.epoch.Sizes(was.ID))
		clear(p.sized)
	}
}

func (p *projector) product(b *batch, plan tables.Plan, old, now *wal.Row) {
	var was, is readmodel.Product
	b.version = readmodel.EventID{LSN: p.commit, N: p.part}
	if now != nil {
		is = plan.Product(now)
		entry := string(is.AppendEntry(nil))
		b.bytes += len(entry)
		b.others.Add("HSET", p.epoch.Products(), decimal(is.ID), entry)
	}
	if old != nil {
		was.ID = plan.ID(old)
	}
	if old != nil && (now == nil || was.ID != is.ID) {
		b.others.Add("HDEL", p.epoch.Products(), decimal(was.ID))
	}
}

func decimal(v int64) string { return strconv.FormatInt(v, 10) }
