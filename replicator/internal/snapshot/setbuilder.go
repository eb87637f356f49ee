package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// builderMembers is how many bids a setBuilder holds at most, so that a copy needs little memory.
const builderMembers = 20_000

// setBuilder gathers the bids of one raffle and size, which arrive in the order of their members, and writes both sets.
type setBuilder struct {
	set     readmodel.Part // a size of a raffle
	arena   []byte
	ends    []int    // of each member in the arena
	newest  []int64  // scores
	price   []uint64 // the sort key of highest: the inverted price, then the index of the member
	begun   bool     // the first members of the set are written
	scored  []scored
	dump    []byte
	sizes   []int16 // of the raffle so far
	reading *reading
}

// books loads the bids of the raffles from one id up to another.
func (r *reading) books(ctx context.Context, from, to int64) error {
	s := &setBuilder{reading: r}
	query := fmt.Sprintf("WHERE raffle_id >= %d AND raffle_id < %d ORDER BY raffle_id, size, created_at, id", from, to)
	err := r.eachBid(ctx, query, func(b readmodel.Bid) error { return s.add(ctx, b) })
	if err != nil {
		return err
	}
	return errors.Join(s.write(ctx), s.writeSizes(ctx))
}

func (s *setBuilder) add(ctx context.Context, b readmodel.Bid) error {
	if next := (readmodel.Part{Raffle: b.RaffleID, Size: b.Size}); next != s.set {
		if err := s.write(ctx); err != nil {
			return err
		}
		if next.Raffle != s.set.Raffle {
			if err := s.writeSizes(ctx); err != nil {
				return err
			}
		}
		s.set, s.begun = next, false
		s.sizes = append(s.sizes, b.Size)
	} else if len(s.ends) == builderMembers {
		if err := s.write(ctx); err != nil {
			return err
		}
		s.begun = true
	}
	s.arena = b.AppendMember(s.arena)
	s.price = append(s.price, uint64(math.MaxUint32-uint32(b.Price))<<32|uint64(len(s.ends)))
	s.ends = append(s.ends, len(s.arena))
	s.newest = append(s.newest, int64(b.NewestScore()))
	return nil
}

func (s *setBuilder) member(i int) []byte {
	begin := 0
	if i > 0 {
		begin = s.ends[i-1]
	}
	return s.arena[begin:s.ends[i]]
}

// write writes the gathered bids in both orders.
func (s *setBuilder) write(ctx context.Context) error {
	if len(s.ends) == 0 {
		return nil
	}
	rows, mark := len(s.ends), s.mark()
	s.scored = s.scored[:0]
	for i := range s.ends {
		s.scored = append(s.scored, scored{s.member(i), s.newest[i]})
	}
	if mark != nil {
		s.scored = append(s.scored, scored{mark, plusInf})
	}
	if err := s.put(ctx, s.reading.epoch.Newest(s.set.Raffle, s.set.Size)); err != nil {
		return err
	}

	slices.Sort(s.price)
	s.scored = s.scored[:0]
	if mark != nil {
		s.scored = append(s.scored, scored{mark, minusInf})
	}
	for _, key := range s.price {
		price := math.MaxUint32 - uint32(key>>32)
		s.scored = append(s.scored, scored{s.member(int(uint32(key))), -int64(price)})
	}
	if err := s.put(ctx, s.reading.epoch.Highest(s.set.Raffle, s.set.Size)); err != nil {
		return err
	}
	s.reading.chunk.rows += rows
	s.arena, s.ends, s.newest, s.price = s.arena[:0], s.ends[:0], s.newest[:0], s.price[:0]
	return nil
}

// mark is the sentinel that the sets begin with; nil if they are begun, or if their raffle does not exist.
func (s *setBuilder) mark() []byte {
	if _, known := s.reading.known[s.set.Raffle]; s.begun || !known && !s.reading.replace {
		return nil
	}
	return s.reading.mark
}

// put writes the members in scored: it makes the set, or adds to the set that is begun.
func (s *setBuilder) put(ctx context.Context, key string) (err error) {
	if s.begun {
		return s.reading.grow(ctx, key, s.scored)
	}
	s.dump, err = s.reading.fill(ctx, key, s.scored, s.dump[:0])
	return err
}

// fill makes a set. It writes as many members as a chunk takes by RESTORE, and adds the others. A reload first removes
// the set that is there. The mark is among the first members. So if the set is lost meanwhile, the set that the
// additions make has no mark. dump is memory to reuse, and is returned.
func (r *reading) fill(ctx context.Context, key string, set []scored, dump []byte) ([]byte, error) {
	if r.replace {
		// UNLINK frees the former set in the background. RESTORE REPLACE would free it while others wait.
		if err := r.ensureChunk(ctx, addWork); err != nil {
			return dump, err
		}
		r.chunk.Commands.Add("UNLINK", key)
	}
	if r.plain {
		first, rest := cut(set, chunkWork/addWork)
		return dump, errors.Join(r.grow(ctx, key, first), r.grow(ctx, key, rest))
	}
	first, rest := cut(set, chunkWork-addWork)
	if err := r.ensureChunk(ctx, len(first)+addWork); err != nil {
		return dump, err
	}
	dump = appendDump(dump, first)
	r.chunk.restore(key, dump, r.replace)
	return dump, r.grow(ctx, key, rest)
}

// cut cuts an ordered set in two. The first part has the mark and at most so many members.
func cut(set []scored, most int) (first, rest []scored) {
	n := min(len(set), most)
	if len(set) > 0 && set[len(set)-1].score == plusInf {
		return set[len(set)-n:], set[:len(set)-n]
	}
	return set[:n], set[n:]
}

// grow adds members to a set, in pieces of the size of a chunk.
func (r *reading) grow(ctx context.Context, key string, set []scored) error {
	for piece := range slices.Chunk(set, chunkWork/addWork) {
		if err := r.ensureChunk(ctx, addWork*len(piece)); err != nil {
			return err
		}
		r.chunk.add(key, piece)
	}
	return nil
}

// add adds members by ZADD.
func (p *Chunk) add(key string, set []scored) {
	p.Commands.Begin(2 + 2*len(set))
	p.Commands.String("ZADD")
	p.Commands.String(key)
	for _, m := range set {
		switch m.score {
		case plusInf:
			p.Commands.String("+inf")
		case minusInf:
			p.Commands.String("-inf")
		default:
			p.Commands.Int(m.score)
		}
		p.Commands.Bytes(m.member)
	}
}

func (p *Chunk) restore(key string, dump []byte, replace bool) {
	arguments := 4
	if replace {
		arguments = 5
	}
	p.Commands.Begin(arguments)
	p.Commands.String("RESTORE")
	p.Commands.String(key)
	p.Commands.String("0") // no expiry
	p.Commands.Bytes(dump)
	if replace {
		p.Commands.String("REPLACE")
	}
}

// writeSizes makes the sizes with bids members of the raffle's sizes.
func (s *setBuilder) writeSizes(ctx context.Context) error {
	if len(s.sizes) == 0 {
		return nil
	}
	if err := s.reading.ensureChunk(ctx, addWork*len(s.sizes)); err != nil {
		return err
	}
	c := &s.reading.chunk.Commands
	c.Begin(2 + len(s.sizes))
	c.String("SADD")
	c.String(s.reading.epoch.Sizes(s.set.Raffle))
	for _, size := range s.sizes {
		c.Int(int64(size))
	}
	s.reading.sized = append(s.reading.sized[:0], s.sizes...)
	s.sizes = s.sizes[:0]
	return nil
}

// sizeNewest loads the newest SizeKept bids of a size over all raffles. It reads one bid more, whose score becomes the
// floor of the set.
func (r *reading) sizeNewest(ctx context.Context, size int16) error {
	newest := []scored{{r.mark, plusInf}}
	const most = 1 + readmodel.SizeKept
	query := fmt.Sprintf("WHERE size = %d ORDER BY created_at DESC, id DESC LIMIT %d", size, readmodel.SizeKept+1)
	err := r.eachBid(ctx, query, func(b readmodel.Bid) error {
		newest = append(newest, scored{b.AppendSizeMember(nil), int64(b.NewestScore())})
		return nil
	})
	if err != nil {
		return err
	}
	slices.Reverse(newest)
	floor := int64(0)
	if len(newest) > most {
		floor, newest = newest[0].score, newest[1:]
	}
	if err := r.ensureChunk(ctx, 3*addWork); err != nil {
		return err
	}
	c := &r.chunk.Commands
	c.Add("SADD", r.epoch.AllSizes(), strconv.Itoa(int(size)))
	c.Add("SET", r.epoch.SizeFloor(size), strconv.FormatInt(floor, 10))
	_, err = r.fill(ctx, r.epoch.SizeNewest(size), newest, nil)
	return err
}
