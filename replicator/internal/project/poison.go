package project

import (
	"errors"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// image is a row as the read model has it. Of a poisoned one, a row that has a value without a packing, only
// the values that do have one are known.
type image[T any] struct {
	v      T
	there  bool
	poison error
	err    error // the table has not the form that it must have
}

func imageOf[T any](row *wal.Row, read func(*wal.Row) T) (i image[T]) {
	if row == nil {
		return i
	}
	i.v = read(row)
	switch err := row.Err(); {
	case err == nil:
		i.there = true
	case errors.Is(err, wal.ErrValue):
		i.poison = err
	default:
		i.err = err
	}
	return i
}

// poison is a row that the read model can't hold, and what is not whole because of it: a part, or a product,
// which no part needs.
type poison struct {
	table tables.Table
	name  string // of the part or the product, as in readmodel.PoisonedKey
	part  *readmodel.Part
	row   int64 // the row's id, or that of its raffle
	err   error
}

func (p poison) String() string { return fmt.Sprintf("row of %s %d: %v", p.name, p.row, p.err) }

// productPrefix begins the names of products.
const productPrefix = "product "

func productName(id int64) string { return productPrefix + decimal(id) }

// poisoned spoils the parts of a row that has no packing, and has those reloaded of which one was put right or
// removed. Whoever follows the raffle must read again.
func (p *projector) poisoned(b *batch, t tables.Table, was, is error, old, now []readmodel.Part, oldRaffle, raffle int64) {
	if was != nil {
		b.healed = append(b.healed, old...)
	}
	if is != nil {
		b.spoiled = append(b.spoiled, poisons(t, now, raffle, is)...)
	}
	for _, id := range []int64{oldRaffle, raffle} {
		if id != 0 {
			p.event(b, id, b.told(id, readmodel.Event{Kind: readmodel.EventReset}))
		}
		if oldRaffle == raffle {
			break
		}
	}
}

func poisons(t tables.Table, parts []readmodel.Part, row int64, err error) (all []poison) {
	for _, part := range parts {
		all = append(all, poison{table: t, name: part.String(), part: &part, row: row, err: err})
	}
	return all
}

// appendSpoiled takes the sentinels of spoiled parts away and notes them. What may be whole again is to be reloaded,
// whichever came last: the reload takes the note away. A product has no reload, its notes keep their order in lists.
func (b *batch) appendSpoiled(c *resp.Commands) {
	done := make(map[string]bool)
	for _, p := range b.spoiled {
		if p.part != nil && !done[p.name] {
			done[p.name] = true
			appendSpoil(c, b.epoch, *p.part)
			c.Add("SADD", readmodel.PoisonedKey, p.name)
		}
	}
	for _, part := range b.healed {
		c.Add("SADD", readmodel.ReloadKey, part.String())
	}
}
