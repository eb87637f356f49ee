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
}

// maxSized bounds the memory of sized: about 64 bytes each.
const maxSized = 1_000_000

func newProjector(e readmodel.Epoch) *projector {
	return &projector{epoch: e, plans: make(map[uint32]plan), sized: make(map[set]struct{})}
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

func (p *projector) bid(b *batch, columns []int, old, now *wal.Row) {
	var was, is readmodel.Bid
	if old != nil {
		was = readBid(columns, old)
		b.bid(was, true)
	}
	if now != nil {
		is = readBid(columns, now)
		b.bid(is, false)
	}
	s := set{is.RaffleID, is.Size}
	if left := (set{was.RaffleID, was.Size}); old != nil && left != s {
		b.mayEmpty(left)
		delete(p.sized, left)
	}
	if now == nil {
		return
	}
	if _, ok := p.sized[s]; ok {
		return
	}
	if len(p.sized) >= maxSized {
		clear(p.sized)
	}
	p.sized[s] = struct{}{}
	b.command("sadd", p.epoch.Sizes(is.RaffleID), strconv.Itoa(int(is.Size)))
}

func (p *projector) raffle(b *batch, columns []int, old, now *wal.Row) {
	var was, is readmodel.Raffle
	if old != nil {
		was = readRaffle(columns, old)
		b.command("zrem", p.epoch.Raffles(), was.AppendMember(nil))
	}
	if now != nil {
		is = readRaffle(columns, now)
		b.command("set", p.epoch.Raffle(is.ID), is.AppendMember(nil))
		b.command("sadd", p.epoch.Sizes(is.ID), readmodel.RaffleKnown)
		b.command("zadd", p.epoch.Raffles(), is.EndsAt, is.AppendMember(nil))
	}
	if old != nil && (now == nil || was.ID != is.ID) {
		b.command("del", p.epoch.Raffle(was.ID), p.epoch.Sizes(was.ID))
		clear(p.sized)
	}
}

func (p *projector) product(b *batch, columns []int, old, now *wal.Row) {
	var was, is readmodel.Product
	if now != nil {
		is = readProduct(columns, now)
		b.command("hset", p.epoch.Products(), decimal(is.ID), is.AppendEntry(nil))
	}
	if old != nil {
		was.ID = old.Int64(columns[0])
	}
	if old != nil && (now == nil || was.ID != is.ID) {
		b.command("hdel", p.epoch.Products(), decimal(was.ID))
	}
}

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
