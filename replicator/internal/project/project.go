// Package project keeps the read model in Redis equal to the primary: it turns the logical stream into
// Redis commands, flushes them together with the checkpoint, and builds the model anew when it can't
// go on from where it stands.
package project

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// probePrefix is the prefix of the logical message that emit_probe() writes every second.
const probePrefix = "pyramid.probe"

// errTruncated asks for a rebuild: the stream names the emptied tables, not their rows.
var errTruncated = errors.New("a table of the read model was truncated")

// rowKinds label the metric of applied rows.
var rowKinds = [...]string{"bids", "raffles", "products"}

const (
	bidRow = iota
	raffleRow
	productRow
)

// projector turns rows into the commands of a batch. It knows the columns by name, so that added ones
// are ignored and missing ones are an error (P6).
type projector struct {
	epoch readmodel.Epoch
	plans map[uint32]plan
	// sized are the (raffle, size) pairs whose membership was written already: most bids need none.
	sized map[set]struct{}
	// added counts, by size, the bids since the set over all raffles was trimmed last.
	added map[int16]int
	// commit is the transaction that the rows belong to, numbers the events so far of each raffle in it.
	commit  readmodel.LSN
	numbers map[int64]uint64
}

// maxSized bounds the memory of sized: about 64 bytes each.
const maxSized = 1_000_000

func newProjector(e readmodel.Epoch) *projector {
	return &projector{epoch: e, plans: make(map[uint32]plan), sized: make(map[set]struct{}),
		added: make(map[int16]int), numbers: make(map[int64]uint64)}
}

// begin begins a transaction, whose commit record is at that position.
func (p *projector) begin(commit readmodel.LSN) {
	p.commit = commit
	clear(p.numbers)
}

// event makes an entry of the batch the next event of its raffle.
func (p *projector) event(b *batch, raffle int64, index int32) {
	p.numbers[raffle]++
	b.event(index, p.commit, p.numbers[raffle])
}

// plan is how a relation's rows are read: the indices of the columns, in the order of its table's list.
type plan struct {
	kind    int
	known   bool
	columns []int
}

type columnUse struct {
	name  string
	class wal.Class
}

var tables = map[string]struct {
	kind    int
	columns []columnUse
}{
	"public.bids": {bidRow, []columnUse{{"raffle_id", wal.Integer}, {"id", wal.Integer}, {"user_id", wal.Integer},
		{"size", wal.Integer}, {"price", wal.Integer}, {"quantity", wal.Integer}, {"created_at", wal.Instant}}},
	"public.raffles": {raffleRow, []columnUse{{"id", wal.Integer}, {"product_id", wal.Integer}, {"seller_id", wal.Integer},
		{"starts_at", wal.Instant}, {"ends_at", wal.Instant}, {"closed_at", wal.Instant}, {"closing_price", wal.Integer}}},
	"public.products": {productRow, []columnUse{{"id", wal.Integer}, {"name", wal.Text}, {"model", wal.Text}, {"color", wal.Text},
		{"category", wal.Text}, {"image_url", wal.Text}, {"release_price", wal.Integer}, {"release_date", wal.Date}}},
}

// describe makes the plan of a relation. Tables that the read model doesn't hold are ignored.
func (p *projector) describe(r *wal.Relation) error {
	table, ok := tables[r.Name]
	if !ok {
		p.plans[r.ID] = plan{}
		return nil
	}
	if !r.Full {
		return fmt.Errorf("%w: REPLICA IDENTITY of %s is not FULL", wal.ErrShape, r.Name)
	}
	plan := plan{kind: table.kind, known: true}
	for _, use := range table.columns {
		i, err := r.Index(use.name, use.class)
		if err != nil {
			return err
		}
		plan.columns = append(plan.columns, i)
	}
	p.plans[r.ID] = plan
	return nil
}

// row records a change.
func (p *projector) row(b *batch, m *wal.Message) error {
	plan := p.plans[m.Relation.ID]
	if !plan.known {
		return nil
	}
	var old, now *wal.Row
	if m.Kind != wal.Insert {
		old = &m.Old
	}
	if m.Kind != wal.Delete {
		now = &m.New
	}
	b.changes++
	b.rows[plan.kind]++
	switch plan.kind {
	case bidRow:
		p.bid(b, plan.columns, old, now)
	case raffleRow:
		p.raffle(b, plan.columns, old, now)
	default:
		p.product(b, plan.columns, old, now)
	}
	return errors.Join(m.Old.Err(), m.New.Err())
}

// bid skips an update that changes nothing that is kept: idempotency keys are forgotten in great numbers.
func (p *projector) bid(b *batch, columns []int, old, now *wal.Row) {
	var was, is readmodel.Bid
	if old != nil {
		was = readBid(columns, old)
	}
	if now != nil {
		is = readBid(columns, now)
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

func (p *projector) raffle(b *batch, columns []int, old, now *wal.Row) {
	var was, is readmodel.Raffle
	b.version = p.commit
	if old != nil {
		was = readRaffle(columns, old)
		b.others.Add("ZREM", p.epoch.Raffles(), string(was.AppendMember(nil)))
	}
	if now != nil {
		is = readRaffle(columns, now)
		entry := string(is.AppendMember(nil))
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

func (p *projector) product(b *batch, columns []int, old, now *wal.Row) {
	var was, is readmodel.Product
	b.version = p.commit
	if now != nil {
		is = readProduct(columns, now)
		b.others.Add("HSET", p.epoch.Products(), decimal(is.ID), string(is.AppendEntry(nil)))
	}
	if old != nil {
		was.ID = old.Int64(columns[0])
	}
	if old != nil && (now == nil || was.ID != is.ID) {
		b.others.Add("HDEL", p.epoch.Products(), decimal(was.ID))
	}
}

func decimal(v int64) string { return strconv.FormatInt(v, 10) }

func readBid(c []int, r *wal.Row) readmodel.Bid {
	return readmodel.Bid{
		RaffleID: r.Int64(c[0]), ID: r.Int64(c[1]), UserID: r.Int64(c[2]),
		Size: r.Int16(c[3]), Price: r.Int32(c[4]), Quantity: r.Int32(c[5]), CreatedAt: r.Micros(c[6]),
	}
}

func readRaffle(c []int, r *wal.Row) readmodel.Raffle {
	v := readmodel.Raffle{
		ID: r.Int64(c[0]), ProductID: r.Int64(c[1]), SellerID: r.Int64(c[2]),
		StartsAt: r.Micros(c[3]), EndsAt: r.Micros(c[4]),
	}
	if !r.Null(c[5]) {
		v.ClosedAt = r.Micros(c[5])
	}
	if !r.Null(c[6]) {
		v.ClosingPrice = r.Int32(c[6])
	}
	return v
}

func readProduct(c []int, r *wal.Row) readmodel.Product {
	return readmodel.Product{
		ID: r.Int64(c[0]), Name: r.Text(c[1]), Model: r.Text(c[2]), Color: r.Text(c[3]),
		Category: r.Text(c[4]), ImageURL: r.Text(c[5]), ReleasePrice: r.Int32(c[6]), ReleaseDate: r.Date(c[7]),
	}
}
