package projection

import (
	"errors"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Image is a row as the read model has it. A poisoned row is one with a value that has no packing; only its other
// values are known.
type Image[T any] struct {
	V      T
	There  bool
	Poison error
	Err    error // the table does not fit the read model
}

// ImageOf reads a row. No row (nil) gives an empty image.
func ImageOf[T any](row *wal.Row, read func(*wal.Row) T) (i Image[T]) {
	if row == nil {
		return i
	}
	i.V = read(row)
	switch err := row.Err(); {
	case err == nil:
		i.There = true
	case errors.Is(err, wal.ErrValue):
		i.Poison = err
	default:
		i.Err = err
	}
	return i
}

// Poison is a row that the read model can't hold, and what is incomplete because of it: a part, or a product, which
// belongs to no part.
type Poison struct {
	Table tables.Table
	Name  string // of the part or the product, as in readmodel.PoisonedKey
	Part  *readmodel.Part
	Row   int64 // the id of the row or of its raffle
	Err   error
}

func (p Poison) String() string { return fmt.Sprintf("row of %s %d: %v", p.Name, p.Row, p.Err) }

// productPrefix begins the names of products.
const productPrefix = "product "

// ProductName is the name of a poisoned product.
func ProductName(id int64) string { return productPrefix + decimal(id) }

// poisoned spoils the parts of a row that has no packing. If the old row had none and was corrected or removed, its
// parts are reloaded. Readers of the raffle's live events get a reset, because they must read the raffle again.
func (p *Projector) poisoned(b *Batch, t tables.Table, was, is error, old, now []readmodel.Part, oldRaffle, raffle int64) {
	if was != nil {
		b.healed = append(b.healed, old...)
	}
	if is != nil {
		b.Spoiled = append(b.Spoiled, Poisons(t, now, raffle, is)...)
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

// Poisons returns a Poison of the same row for each of its parts.
func Poisons(t tables.Table, parts []readmodel.Part, row int64, err error) (all []Poison) {
	for _, part := range parts {
		all = append(all, Poison{Table: t, Name: part.String(), Part: &part, Row: row, Err: err})
	}
	return all
}

// appendSpoiled removes the sentinels of spoiled parts and notes the parts as poisoned. It requests a reload of parts
// that may be complete again, even if they were spoiled later in the batch, because the reload finds out and removes
// the note. Products are not reloaded; their notes are in lists, in order.
func (b *Batch) appendSpoiled(c *resp.Commands) {
	done := make(map[string]bool)
	for _, p := range b.Spoiled {
		if p.Part != nil && !done[p.Name] {
			done[p.Name] = true
			AppendSpoil(c, b.epoch, *p.Part)
			c.Add("SADD", readmodel.PoisonedKey, p.Name)
		}
	}
	for _, part := range b.healed {
		c.Add("SADD", readmodel.ReloadKey, part.String())
	}
}
