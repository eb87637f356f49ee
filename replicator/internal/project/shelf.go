package project

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// shelf gathers the bids of one (raffle, size) of a snapshot, which come in the order of their members,
// and writes each of its sets at once.
type shelf struct {
	set     set
	arena   []byte
	ends    []int    // of the members in the arena
	newest  []int64  // scores
	price   []uint64 // sort key of highest: the price inverted, then the place in the order of members
	begun   bool     // a former part of the set was written
	scored  []scored
	dump    []byte
	sizes   []int16 // of the raffle so far
	reading *reading
}

// books loads the bids of a range of raffles.
func (r *reading) books(ctx context.Context, from, to int64) error {
	s := &shelf{reading: r}
	query := fmt.Sprintf("WHERE raffle_id >= %d AND raffle_id < %d ORDER BY raffle_id, size, created_at, id", from, to)
	err := r.eachBid(ctx, query, func(b readmodel.Bid) error { return s.add(ctx, b) })
	if err != nil {
		return err
	}
	return errors.Join(s.write(ctx), s.writeSizes(ctx))
}

func (s *shelf) add(ctx context.Context, b readmodel.Bid) error {
	if next := (set{b.RaffleID, b.Size}); next != s.set {
		if err := s.write(ctx); err != nil {
			return err
		}
		if next.raffle != s.set.raffle {
			if err := s.writeSizes(ctx); err != nil {
				return err
			}
		}
		s.set, s.begun = next, false
		s.sizes = append(s.sizes, b.Size)
	} else if len(s.ends) == parcelMembers {
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

func (s *shelf) member(i int) []byte {
	begin := 0
	if i > 0 {
		begin = s.ends[i-1]
	}
	return s.arena[begin:s.ends[i]]
}

// write writes what has been gathered, in both orders.
func (s *shelf) write(ctx context.Context) error {
	if len(s.ends) == 0 {
		return nil
	}
	if err := s.reading.room(ctx); err != nil {
		return err
	}
	s.reading.parcel.rows += len(s.ends)
	_, known := s.reading.known[s.set.raffle]
	whole := known && !s.begun && !s.reading.replace
	s.scored = s.scored[:0]
	for i := range s.ends {
		s.scored = append(s.scored, scored{s.member(i), s.newest[i]})
	}
	if whole {
		s.scored = append(s.scored, sentinel(plusInf))
	}
	s.put(s.reading.epoch.Newest(s.set.raffle, s.set.size))

	slices.Sort(s.price)
	s.scored = s.scored[:0]
	if whole {
		s.scored = append(s.scored, sentinel(minusInf))
	}
	for _, key := range s.price {
		price := math.MaxUint32 - uint32(key>>32)
		s.scored = append(s.scored, scored{s.member(int(uint32(key))), -int64(price)})
	}
	s.put(s.reading.epoch.Highest(s.set.raffle, s.set.size))
	s.arena, s.ends, s.newest, s.price = s.arena[:0], s.ends[:0], s.newest[:0], s.price[:0]
	return nil
}

// put makes a set of what is scored, or adds to the one that a former part began.
func (s *shelf) put(key string) {
	p := s.reading.parcel
	p.members += len(s.scored)
	if s.begun {
		p.add(key, s.scored)
		return
	}
	s.dump = s.reading.whole(key, s.scored, s.dump[:0])
}

// whole makes a set, in place of one that is there if that may be; dump is memory to use, and comes back.
func (r *reading) whole(key string, set []scored, dump []byte) []byte {
	if r.plain {
		if r.replace {
			r.parcel.commands.Add("DEL", key)
		}
		r.parcel.add(key, set)
		return dump
	}
	dump = appendDump(dump, set)
	r.parcel.restore(key, dump, r.replace)
	return dump
}

// add adds members one by one.
func (p *parcel) add(key string, set []scored) {
	p.commands.Begin(2 + 2*len(set))
	p.commands.String("ZADD")
	p.commands.String(key)
	for _, m := range set {
		switch m.score {
		case plusInf:
			p.commands.String("+inf")
		case minusInf:
			p.commands.String("-inf")
		default:
			p.commands.Int(m.score)
		}
		p.commands.Bytes(m.member)
	}
}

func (p *parcel) restore(key string, dump []byte, replace bool) {
	arguments := 4
	if replace {
		arguments = 5
	}
	p.commands.Begin(arguments)
	p.commands.String("RESTORE")
	p.commands.String(key)
	p.commands.String("0") // lives for ever
	p.commands.Bytes(dump)
	if replace {
		p.commands.String("REPLACE")
	}
}

// writeSizes makes the sizes that have bids members of the raffle's.
func (s *shelf) writeSizes(ctx context.Context) error {
	if len(s.sizes) == 0 {
		return nil
	}
	if err := s.reading.room(ctx); err != nil {
		return err
	}
	c := &s.reading.parcel.commands
	c.Begin(2 + len(s.sizes))
	c.String("SADD")
	c.String(s.reading.epoch.Sizes(s.set.raffle))
	for _, size := range s.sizes {
		c.Int(int64(size))
	}
	s.sizes = s.sizes[:0]
	return nil
}

// sizeNewest loads the newest bids of a size over all raffles, and one more: the score of that one is
// where the set has holes.
func (r *reading) sizeNewest(ctx context.Context, size int16) error {
	newest := []scored{}
	if !r.replace {
		newest = append(newest, sentinel(plusInf))
	}
	most := len(newest) + readmodel.SizeKept
	query := fmt.Sprintf("WHERE size = %d ORDER BY created_at DESC, id DESC LIMIT %d", size, readmodel.SizeKept+1)
	err := r.eachBid(ctx, query, func(b readmodel.Bid) error {
		newest = append(newest, scored{b.AppendSizeMember(nil), int64(b.NewestScore())})
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.room(ctx); err != nil {
		return err
	}
	slices.Reverse(newest)
	floor := int64(0)
	if len(newest) > most {
		floor, newest = newest[0].score, newest[1:]
	}
	c := &r.parcel.commands
	c.Add("SADD", r.epoch.AllSizes(), strconv.Itoa(int(size)))
	c.Add("SET", r.epoch.SizeFloor(size), strconv.FormatInt(floor, 10))
	if len(newest) == 0 { // of a part that is reloaded
		c.Add("DEL", r.epoch.SizeNewest(size))
		return nil
	}
	r.parcel.members += len(newest)
	r.whole(r.epoch.SizeNewest(size), newest, nil)
	return nil
}
