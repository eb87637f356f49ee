package test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// version returns a number that changes whenever what a read asks for may have changed.
func (t *tables) version(b body) int {
	of := b.list
	if b.detail != 0 {
		of = list{raffle: b.detail}
	}
	return t.versions[list{}] + t.versions[of]
}

// head returns the text of a body up to its cursor, and whether it has a cursor. A raffle that does not exist has no
// text.
func (t *tables) head(b body) (text []byte, more bool) {
	if _, ok := t.raffles[b.raffle()]; b.raffle() != 0 && !ok {
		return nil, false
	}
	switch {
	case b.detail != 0:
		return t.detail(b.detail), false
	case b.list.size == 0:
		return t.raffleList(), false
	}
	text = []byte(`{"bids":[`)
	var ids []int64
	if l := t.lists[b.list]; l != nil {
		ids = l[map[bool]int{false: 0, true: 1}[b.highest]]
	}
	for i, id := range ids[:min(len(ids), fullPage)] {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, t.bids[id].text...)
	}
	return append(text, `],"next_cursor":`...), len(ids) > fullPage
}

func (t *tables) raffleList() []byte {
	raffles := slices.SortedFunc(maps.Values(t.raffles), func(x, y raffleDocument) int {
		return cmp.Or(cmp.Compare(y.EndsAt, x.EndsAt), cmp.Compare(y.ID, x.ID))
	})
	return append(append([]byte(`{"raffles":`), encode(raffles)...), `,"next_cursor":`...)
}

func (t *tables) detail(raffle int64) []byte {
	r := t.raffles[raffle]
	type summary struct {
		Size    int16 `json:"size"`
		Count   int   `json:"count"`
		Highest int64 `json:"highest"`
	}
	whole := struct {
		raffleDocument
		Product  productDocument `json:"product"`
		BidCount int             `json:"bid_count"`
		Sizes    []summary       `json:"sizes"`
	}{raffleDocument: r, Product: t.products[r.ProductID], Sizes: []summary{}}
	for l, ids := range t.lists {
		if l.raffle != raffle || l.size == 0 || len(ids[0]) == 0 {
			continue
		}
		s := summary{l.size, len(ids[0]), t.bids[ids[1][0]].Price}
		whole.BidCount += s.Count
		whole.Sizes = append(whole.Sizes, s)
	}
	slices.SortFunc(whole.Sizes, func(x, y summary) int { return cmp.Compare(x.Size, y.Size) })
	return encode(whole)
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // documents can be encoded
	}
	return text
}

// mismatch is a body, and how it should begin.
type mismatch struct{ got, want []byte }

func (m *mismatch) Error() string {
	return fmt.Sprintf("%d bytes, want %d%s", len(m.got), len(m.want), difference(m.got, m.want))
}

// difference names the bids that only one of two pages has, or shows where two bodies differ.
func difference(got, want []byte) string {
	var a, b struct{ Bids []bidDocument }
	if json.Unmarshal(got, &a) == nil && json.Unmarshal(append(bytes.Clone(want), "null}"...), &b) == nil {
		only := func(x, y []bidDocument) []bidDocument {
			return slices.DeleteFunc(slices.Clone(x), func(d bidDocument) bool { return slices.Contains(y, d) })
		}
		return fmt.Sprintf("; it has %+v too much, and lacks %+v", only(a.Bids, b.Bids), only(b.Bids, a.Bids))
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	around := func(text []byte) []byte { return text[max(0, at-100):min(len(text), at+300)] }
	return fmt.Sprintf("; from byte %d: ...%s... want ...%s...", at, around(got), around(want))
}
