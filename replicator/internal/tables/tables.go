// Package tables knows the published tables: their columns, and how their rows become the values of the read model. It
// finds columns by name, so that added columns are ignored and missing ones are an error (P6).
package tables

import (
	"fmt"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Table is one of the published tables.
type Table int

// The tables. Other is any table that the read model does not hold.
const (
	Other Table = iota
	Bids
	Raffles
	Products
)

type column struct {
	name  string
	class wal.Class
}

// layout holds the columns of each table in the order in which Plan reads them.
var layout = [...]struct {
	name    string
	columns []column
}{
	Bids: {"public.bids", []column{{"raffle_id", wal.Integer}, {"id", wal.Integer}, {"user_id", wal.Integer},
		{"size", wal.Integer}, {"price", wal.Integer}, {"quantity", wal.Integer}, {"created_at", wal.Instant}}},
	Raffles: {"public.raffles", []column{{"id", wal.Integer}, {"product_id", wal.Integer}, {"seller_id", wal.Integer},
		{"starts_at", wal.Instant}, {"ends_at", wal.Instant}, {"closed_at", wal.Instant}, {"closing_price", wal.Integer}}},
	Products: {"public.products", []column{{"id", wal.Integer}, {"name", wal.Text}, {"model", wal.Text}, {"color", wal.Text},
		{"category", wal.Text}, {"image_url", wal.Text}, {"release_price", wal.Integer}, {"release_date", wal.Date}}},
}

// String is schema.table.
func (t Table) String() string { return layout[t].name }

// Kind is the name of the table without the schema. It labels metrics.
func (t Table) Kind() string { return strings.TrimPrefix(layout[t].name, "public.") }

// Of returns the table with the name schema.table.
func Of(name string) Table {
	for t := Bids; t <= Products; t++ {
		if layout[t].name == name {
			return t
		}
	}
	return Other
}

// Plan says how the rows of one relation are read.
type Plan struct {
	Table   Table
	columns []int
}

// NewPlan finds the columns. If the read model does not hold the relation, the plan's table is Other. If the relation
// does not fit, the error is a wal.ErrShape.
func NewPlan(r *wal.Relation) (Plan, error) {
	p := Plan{Table: Of(r.Name)}
	if p.Table == Other {
		return p, nil
	}
	if !r.Full {
		return p, fmt.Errorf("%w: REPLICA IDENTITY of %s is not FULL", wal.ErrShape, r.Name)
	}
	for _, c := range layout[p.Table].columns {
		i, err := r.Index(c.name, c.class)
		if err != nil {
			return p, err
		}
		p.columns = append(p.columns, i)
	}
	return p, nil
}

// Bid reads a row of Bids. Here and below, the error of a value that does not fit is in the row's Err.
func (p Plan) Bid(r *wal.Row) readmodel.Bid {
	c := p.columns
	b := readmodel.Bid{
		RaffleID: r.Int64(c[0]), ID: r.Int64(c[1]), UserID: r.Int64(c[2]),
		Size: r.Int16(c[3]), Price: r.Int32(c[4]), Quantity: r.Int32(c[5]), CreatedAt: r.Micros(c[6]),
	}
	if b.Size == 0 || b.RaffleID == 0 {
		r.Refuse(c[3], "and raffle_id must be positive")
	}
	return b
}

// Raffle reads a row of Raffles.
func (p Plan) Raffle(r *wal.Row) readmodel.Raffle {
	c := p.columns
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

// Product reads a row of Products.
func (p Plan) Product(r *wal.Row) readmodel.Product {
	c := p.columns
	return readmodel.Product{
		ID: r.Int64(c[0]), Name: r.Text(c[1]), Model: r.Text(c[2]), Color: r.Text(c[3]),
		Category: r.Text(c[4]), ImageURL: r.Text(c[5]), ReleasePrice: r.Int32(c[6]), ReleaseDate: r.Date(c[7]),
	}
}

// ID reads the key of a row of Raffles or Products.
func (p Plan) ID(r *wal.Row) int64 { return r.Int64(p.columns[0]) }
