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
	Globals   bool  // also the lists of raffles and products, and the newest bids of each size
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

// book is the digests of a raffle's bids by size. Sizes are few, so a search beats a map.
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

// digest stands for a set of members in any order: their number and two sums of 64-bit hashes. Members can be added and
// removed, so a digest can follow the stream. Two different sets have the same digest with a probability of about
// 2^-128.
type digest struct {
	count int64
	sum   [2]uint64
}

func (d *digest) add(h [2]uint64, sign int64) {
	d.count += sign
	d.sum[0] += h[0] * uint64(sign)
	d.sum[1] += h[1] * uint64(sign)
}

// hasher hashes members. The hashes of two hashers differ.
type hasher [2]maphash.Seed

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) of(member []byte) [2]uint64 {
	return [2]uint64{maphash.Bytes(h[0], member), maphash.Bytes(h[1], member)}
}

// model is what Redis must hold: the state of the primary at one position. It keeps a digest for each set of bids, and
// the members only of the sets that are to be inspected.
type model struct {
	scope    Scope
	only     map[int64]bool // nil: all raffles of the scope
	hasher   hasher
	books    map[int64]*book
	members  map[set]content
	raffles  map[int64]readmodel.Raffle
	products map[int64]string
	latest   map[int16]*latest
	poisoned map[readmodel.Part]bool // parts with a row that has no packing
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

// whole says whether the model covers every bid.
func (m *model) whole() bool {
	return m.scope.After == 0 && m.scope.To == math.MaxInt64 && m.only == nil
}

// change removes the old row and adds the new one. Either may be nil.
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

// leaveOut notes the parts of a row that has no packing as poisoned, so that they are not compared. It returns any
// other error.
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

// digest returns the digest of a set, which is zero for a set without bids.
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

// sizeLatest returns the latest bids of a size. If the snapshot has no bids of the size, they begin empty with no
// floor.
func (m *model) sizeLatest(size int16) *latest {
	if m.latest[size] == nil {
		m.latest[size] = &latest{bids: make(content)}
	}
	return m.latest[size]
}

// content returns what a key must hold. It knows the members only of the sets of bids that the model keeps.
func (m *model) content(k key) content {
	c := make(content)
	switch k.kind {
	case newest, highest:
		for member := range m.members[k.set] {
			v, _ := score(k.kind, []byte(member)) // the member was made by this package
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

// needsSentinel says whether the sets of a raffle and size must have their sentinels. The sets of a raffle that does
// not exist and sets without bids may have them or not, because nobody needs these sets.
func (m *model) needsSentinel(s set) bool {
	_, known := m.raffles[s.raffle]
	return known && m.digest(s).count > 0
}

// sizes adds the sizes with bids and the raffle's own mark to c.
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

// where returns the SQL condition for the raffles of the model.
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
