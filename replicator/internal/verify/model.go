package verify

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"math"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Scope is what a comparison covers.
type Scope struct {
	After, To int64 // raffles with After < id <= To
	Globals   bool  // also the lists of raffles, products and the newest bids of each size
}

// Everything is the whole read model.
var Everything = Scope{To: math.MaxInt64, Globals: true}

func (s Scope) has(raffle int64) bool { return raffle > s.After && raffle <= s.To }

func (s Scope) covers(k key) bool {
	switch k.kind {
	case raffles, products, sizeNewest:
		return s.Globals
	}
	return s.has(k.raffle)
}

// book is a raffle's bids by size: few, so that going through them beats a map.
type book []sized

type sized struct {
	size int16
	digest
}

func (b *book) of(size int16) *digest {
	for i := range *b {
		if (*b)[i].size == size {
			return &(*b)[i].digest
		}
	}
	return nil
}

// digest stands for a set of members, whatever their order: their number and two sums of 64-bit hashes.
// It can be added to and taken from, which is what lets it follow the stream. Two sets that differ have
// the same one with a probability of about 2^-128.
type digest struct {
	count int64
	sum   [2]uint64
}

func (d *digest) add(h [2]uint64, sign int64) {
	d.count += sign
	d.sum[0] += h[0] * uint64(sign)
	d.sum[1] += h[1] * uint64(sign)
}

// hasher makes the hashes, which differ between two hashers.
type hasher [2]maphash.Seed

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) of(member []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(h[0], member), maphash.Bytes(h[1], member)}
}

// model is what Redis must hold: the state of the primary at one position. Of bids it keeps a digest for
// each set, and the members only of the sets that it is told to.
type model struct {
	scope    Scope
	only     map[int64]bool // the raffles, if not all of the scope
	hasher   hasher
	books    map[int64]*book
	members  map[set]content
	raffles  map[int64]readmodel.Raffle
	products map[int64]string
	latest   map[int16]*latest
	poisoned map[readmodel.Part]bool // parts that lack rows which the read model can't hold
	followed *following              // the set that is read in pieces, if any
	buffer   []byte
}

func newModel(scope Scope, h hasher) *model {
	return &model{
		scope: scope, hasher: h, books: make(map[int64]*book), members: make(map[set]content),
		raffles: make(map[int64]readmodel.Raffle), products: make(map[int64]string), latest: make(map[int16]*latest), poisoned: make(map[readmodel.Part]bool),
	}
}

func (m *model) has(raffle int64) bool {
	return m.scope.has(raffle) && (m.only == nil || m.only[raffle])
}

// whole says whether the model is about every bid.
func (m *model) whole() bool {
	return m.scope.After == 0 && m.scope.To == math.MaxInt64 && m.only == nil
}

// change takes a row out and another one in, either of which may be nil.
func (m *model) change(p tables.Plan, old, now *wal.Row) error {
	for _, c := range []struct {
		row  *wal.Row
		sign int64
	}{{old, -1}, {now, 1}} {
		if c.row == nil {
			continue
		}
		var parts []readmodel.Part
		switch p.Table {
		case tables.Bids:
			b := p.Bid(c.row)
			if parts = tables.PartsOfBid(b); c.row.Err() == nil {
				m.bid(b, c.sign)
			}
		case tables.Raffles:
			r := p.Raffle(c.row)
			if parts = tables.PartsOfRaffle(r); c.row.Err() == nil {
				m.raffle(r, c.sign)
			}
		case tables.Products:
			if v := p.Product(c.row); c.row.Err() == nil {
				m.product(v, c.sign)
			}
		}
		if err := m.leaveOut(c.row.Err(), parts); err != nil {
			return err
		}
	}
	return nil
}

// leaveOut takes a row that the read model can't hold for one that makes its parts incomparable. Any other
// error is returned.
func (m *model) leaveOut(err error, parts []readmodel.Part) error {
	if !errors.Is(err, wal.ErrValue) {
		return err
	}
	for _, part := range parts {
		m.poisoned[part] = true
	}
	return nil
}

func (m *model) bid(b readmodel.Bid, sign int64) {
	if m.scope.Globals {
		m.sizeLatest(b.Size).bid(b, sign)
	}
	if !m.has(b.RaffleID) {
		return
	}
	m.buffer = b.AppendMember(m.buffer[:0])
	m.digest(set{b.RaffleID, b.Size}).add(m.hasher.of(m.buffer), sign)
	if m.followed != nil {
		m.followed.change(b, m.buffer, m.hasher, sign)
	}
	if len(m.members) == 0 {
		return
	}
	if of := m.members[set{b.RaffleID, b.Size}]; of != nil {
		of.change(string(m.buffer), "", sign)
	}
}

func (m *model) raffle(r readmodel.Raffle, sign int64) {
	if !m.has(r.ID) && !m.scope.Globals {
		return
	}
	if delete(m.raffles, r.ID); sign > 0 {
		m.raffles[r.ID] = r
	}
}

func (m *model) product(p readmodel.Product, sign int64) {
	if !m.scope.Globals {
		return
	}
	if delete(m.products, p.ID); sign > 0 {
		m.products[p.ID] = string(p.AppendEntry(nil))
	}
}

// truncate empties a table.
func (m *model) truncate(t tables.Table) {
	switch t {
	case tables.Bids:
		clear(m.books)
		for _, of := range m.members {
			clear(of)
		}
		for _, l := range m.latest {
			clear(l.bids)
		}
	case tables.Raffles:
		clear(m.raffles)
	case tables.Products:
		clear(m.products)
	}
}

// digest is that of a set; of one without bids it is zero.
func (m *model) digest(s set) *digest {
	b := m.books[s.raffle]
	if b == nil {
		b = &book{}
		m.books[s.raffle] = b
	}
	if d := b.of(s.size); d != nil {
		return d
	}
	*b = append(*b, sized{size: s.size})
	return &(*b)[len(*b)-1].digest
}

// sizeLatest are the latest bids of a size. For a size without bids in the snapshot they begin empty and lack nothing.
func (m *model) sizeLatest(size int16) *latest {
	if m.latest[size] == nil {
		m.latest[size] = &latest{bids: make(content)}
	}
	return m.latest[size]
}

// content is what a key must hold. Of sets of bids only those are known that the model keeps the members of.
func (m *model) content(k key) content {
	c := make(content)
	switch k.kind {
	case newest, highest:
		for member := range m.members[k.set] {
			v, _ := score(k.kind, []byte(member)) // made by this package
			c[member] = number(v)
		}
		if m.needsSentinel(k.set) {
			c.putSentinel(k.kind)
		}
	case sizes:
		m.sizes(k.raffle, c)
	case raffle:
		if r, ok := m.raffles[k.raffle]; ok {
			c[""] = string(r.AppendMember(nil))
		}
	case raffles:
		for _, r := range m.raffles {
			c[string(r.AppendMember(nil))] = number(r.EndScore())
		}
		c.putSentinel(k.kind)
	case products:
		for id, entry := range m.products {
			c[strconv.FormatInt(id, 10)] = entry
		}
		c.putSentinel(k.kind)
	case sizeNewest:
		maps.Copy(c, m.sizeLatest(k.size).bids)
	}
	return c
}

// needsSentinel says whether the sets of a raffle and size must be marked as whole. Those of a raffle that does
// not exist may be, and so may those without bids, which nobody needs.
func (m *model) needsSentinel(s set) bool {
	_, known := m.raffles[s.raffle]
	return known && m.digest(s).count > 0
}

// sizes are those that have bids, and the mark of the raffle itself.
func (m *model) sizes(raffle int64, c content) {
	if _, ok := m.raffles[raffle]; ok {
		c[readmodel.RaffleKnown] = ""
	}
	if b := m.books[raffle]; b != nil {
		for _, s := range *b {
			if s.count > 0 {
				c[strconv.Itoa(int(s.size))] = ""
			}
		}
	}
}

// where is the SQL for the raffles that the model is about.
func (m *model) where(column string) string {
	if m.only != nil {
		ids := []string{"-1"}
		for id := range m.only {
			ids = append(ids, strconv.FormatInt(id, 10))
		}
		return "WHERE " + column + " IN (" + strings.Join(ids, ",") + ")"
	}
	if m.whole() {
		return ""
	}
	return fmt.Sprintf("WHERE %[1]s > %[2]d AND %[1]s <= %[3]d", column, m.scope.After, m.scope.To)
}
