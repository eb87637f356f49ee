package projection

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// sample is a table and the column that poisons a row of it.
type sample struct {
	relation *wal.Relation
	poison   int
}

func sampleOf(name string, poison int, columns ...wal.ColumnType) sample {
	return sample{&wal.Relation{ID: 1, Name: "public." + name, Full: true, Columns: columns}, poison}
}

const (
	integer = 20
	text    = 25
	date    = 1082
	instant = 1184
)

var samples = map[string]sample{
	"bid": sampleOf("bids", 6, wal.ColumnType{Name: "raffle_id", OID: integer}, wal.ColumnType{Name: "id", OID: integer},
		wal.ColumnType{Name: "user_id", OID: integer}, wal.ColumnType{Name: "size", OID: integer}, wal.ColumnType{Name: "price", OID: integer},
		wal.ColumnType{Name: "quantity", OID: integer}, wal.ColumnType{Name: "created_at", OID: instant}),
	"raffle": sampleOf("raffles", 4, wal.ColumnType{Name: "id", OID: integer}, wal.ColumnType{Name: "product_id", OID: integer},
		wal.ColumnType{Name: "seller_id", OID: integer}, wal.ColumnType{Name: "starts_at", OID: instant}, wal.ColumnType{Name: "ends_at", OID: instant},
		wal.ColumnType{Name: "closed_at", OID: instant}, wal.ColumnType{Name: "closing_price", OID: integer}),
	"product": sampleOf("products", 7, wal.ColumnType{Name: "id", OID: integer}, wal.ColumnType{Name: "name", OID: text},
		wal.ColumnType{Name: "model", OID: text}, wal.ColumnType{Name: "color", OID: text}, wal.ColumnType{Name: "category", OID: text},
		wal.ColumnType{Name: "image_url", OID: text}, wal.ColumnType{Name: "release_price", OID: integer}, wal.ColumnType{Name: "release_date", OID: date}),
}

// row fills a row: 1 in every column, or infinity in the column that poisons it.
func (s sample) row(r *wal.Row, poisoned bool) {
	var fields [][]byte
	for i, c := range s.relation.Columns {
		bad := poisoned && i == s.poison
		switch {
		case c.OID == date && bad:
			fields = append(fields, binary.BigEndian.AppendUint32(nil, math.MaxInt32))
		case c.OID == date:
			fields = append(fields, binary.BigEndian.AppendUint32(nil, 1))
		case bad:
			fields = append(fields, binary.BigEndian.AppendUint64(nil, math.MaxInt64))
		default:
			fields = append(fields, binary.BigEndian.AppendUint64(nil, 1))
		}
	}
	wal.CopyRow(s.relation, fields, r)
}

// noted returns the members of a set after the commands of a batch.
func noted(t *testing.T, b *Batch, key string) string {
	all := make(map[string]bool)
	for _, args := range commands(t, b) {
		for _, name := range args[min(2, len(args)):] {
			switch {
			case args[1] != key:
			case args[0] == "SADD":
				all[name] = true
			case args[0] == "SREM":
				delete(all, name)
			}
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), ",")
}

// P12: after the changes of a row within one batch, in one transaction or several, exactly the parts that are poisoned
// at the end have a note. A part that was corrected is reloaded, so it keeps its note until then.
func TestRowPoisonedAndPutRightWithinAFlush_P12(t *testing.T) {
	for _, c := range []struct {
		name             string
		rows             string // the row after each change: g good, p poisoned, - none
		poisoned, reload string
	}{
		{"product", "gp", "product 1", ""},
		{"product", "gpg", "", ""},
		{"product", "-p-", "", ""},
		{"product", "-p-g", "", ""},
		{"product", "pgp", "product 1", ""},
		{"product", "gpgp-p", "product 1", ""},
		{"raffle", "gp", "lists,raffle 1", ""},
		{"raffle", "gpg", "lists,raffle 1", "lists,raffle 1"},
		{"raffle", "-p-", "lists,raffle 1", "lists,raffle 1"},
		{"bid", "gp", "raffle 1,size 1", ""},
		{"bid", "gpg", "raffle 1,size 1", "raffle 1,size 1"},
		{"bid", "-p-", "raffle 1,size 1", "raffle 1,size 1"},
	} {
		for _, transactions := range []bool{false, true} {
			p, b, s := NewProjector(3), NewBatch(3), samples[c.name]
			if err := p.Describe(s.relation); err != nil {
				t.Fatal(err)
			}
			// A reload of all parts runs. Its journal decides about rows that were in its snapshot.
			j := &Journal{Parts: make(map[readmodel.Part]*Reloading)}
			for _, part := range []readmodel.Part{{}, {Raffle: 1}, {Size: 1}} {
				j.Parts[part] = NewReloading(part)
			}
			p.Begin(100)
			for i := 1; i < len(c.rows); i++ {
				m := &wal.Message{Relation: s.relation, Kind: wal.Update}
				if c.rows[i-1] == '-' {
					m.Kind = wal.Insert
				} else {
					s.row(&m.Old, c.rows[i-1] == 'p')
				}
				if c.rows[i] == '-' {
					m.Kind = wal.Delete
				} else {
					s.row(&m.New, c.rows[i] == 'p')
				}
				if err := p.Row(b, m); err != nil {
					t.Fatal(err)
				}
				if transactions {
					p.Begin(p.commit + 100)
				}
			}
			if got := noted(t, b, readmodel.PoisonedKey); got != c.poisoned {
				t.Errorf("%s %s: poisoned are %q, want %q", c.name, c.rows, got, c.poisoned)
			}
			if got := noted(t, b, readmodel.ReloadKey); got != c.reload {
				t.Errorf("%s %s: reloaded are %q, want %q", c.name, c.rows, got, c.reload)
			}
			j.Note(b)
			for _, part := range []readmodel.Part{{}, {Raffle: 1}, {Size: 1}} {
				if got, want := j.Parts[part].Again, strings.Contains(c.poisoned, part.String()); got != want {
					t.Errorf("%s %s: %s is reloaded again: %v", c.name, c.rows, part, got)
				}
			}
			if c.name == "product" {
				if got := noted(t, j.batches[0], readmodel.PoisonedKey); got != c.poisoned {
					t.Errorf("%s %s: by the journal poisoned are %q, want %q", c.name, c.rows, got, c.poisoned)
				}
			}
		}
	}
}
