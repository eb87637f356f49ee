package dataset

import (
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// Bid is one bid. Bids are in the order of their ids, and no later id has an earlier time.
type Bid struct {
	ID        int64
	RaffleID  int64
	UserID    int64
	Size      int16 // mm
	Price     int32 // KRW
	Quantity  int32
	CreatedAt time.Duration
}

// sliceCount cuts the history into slices of 8.6 hours: 12,000 bids each on average in the full set.
const (
	sliceCount  = 1_024
	sliceLength = (history/sliceCount/time.Microsecond + 1) * time.Microsecond
)

// cell is how many bids a raffle got within a slice.
type cell struct {
	raffle  int32 // index
	count   int32
	highest bool // the raffle's highest price is bid here
}

// The sizes of all shoes, in mm.
const (
	SmallestSize = 250
	SizeStep     = 5
	SizeCount    = 11
)

// sizes holds each size as often as it is in demand, in percent.
var sizes = demand([SizeCount]int{4, 5, 8, 15, 18, 16, 13, 9, 6, 3, 3})

func demand(percent [SizeCount]int) (table [100]int16) {
	next := 0
	for i, n := range percent {
		for range n {
			table[next] = int16(SmallestSize + SizeStep*i)
			next++
		}
	}
	return table
}

// Size draws a size by demand.
func Size(r *rand.Rand) int16 { return sizes[r.IntN(len(sizes))] }

// planBids draws each raffle's number of bids, then how many of them fall into each slice.
func (s *Set) planBids() {
	byRank := NewZipf(len(s.raffles), Skew)
	counts := make([]int64, len(s.raffles))
	random := s.random(forBidCounts, 0)
	for range s.scale.Bids {
		counts[byRank.Rank(random)-1]++
	}
	s.slices = make([][]cell, sliceCount)
	for i := range s.raffles {
		r := &s.raffles[i]
		r.BidCount = counts[r.Rank-1]
		if r.Closed && r.BidCount > 0 {
			r.ClosingPrice = s.ceilings[i]
		}
		s.planCells(i)
	}
	s.firstID = make([]int64, sliceCount+1)
	s.firstID[0] = 1
	for k, cells := range s.slices {
		s.firstID[k+1] = s.firstID[k]
		for _, c := range cells {
			s.firstID[k+1] += int64(c.count)
		}
	}
}

// planCells spreads a raffle's bids evenly from its start to its end. Only the slice of each time counts here,
// because bids draws the time within the slice.
func (s *Set) planCells(index int) {
	r := s.raffles[index]
	first, last := sliceOf(r.Starts), sliceOf(r.end()-1)
	counts := make([]int32, last-first+1)
	random := s.random(forBidTimes, index)
	for range r.BidCount {
		counts[sliceOf(between(random, r.Starts, r.end()))-first]++
	}
	seenLast := false
	for k := last; k >= first; k-- {
		if n := counts[k-first]; n > 0 {
			s.slices[k] = append(s.slices[k], cell{raffle: int32(index), count: n, highest: !seenLast})
			seenLast = true
		}
	}
}

func sliceOf(at time.Duration) int { return int((at + history) / sliceLength) }

// Slice appends the bids of slice k, 0 to sliceCount-1, to buf in the order of their ids.
func (s *Set) Slice(k int, buf []Bid) []Bid {
	from := time.Duration(k)*sliceLength - history
	random := s.random(forBids, k)
	unordered := make([]Bid, 0, s.firstID[k+1]-s.firstID[k])
	for _, c := range s.slices[k] {
		for i := range c.count {
			unordered = append(unordered, s.bid(random, c, from, c.highest && i == 0))
		}
	}
	// The low bits keep equal times in one order. 8.6 hours in microseconds leave 29 bits for them.
	order := make([]uint64, len(unordered))
	for i, b := range unordered {
		order[i] = uint64((b.CreatedAt-from)/time.Microsecond)<<29 | uint64(i)
	}
	slices.Sort(order)
	for i, key := range order {
		b := unordered[key&(1<<29-1)]
		b.ID = s.firstID[k] + int64(i)
		buf = append(buf, b)
	}
	return buf
}

// Bids yields all bids in the order of their ids, holding one slice of them in memory.
func (s *Set) Bids() iter.Seq[Bid] {
	return func(yield func(Bid) bool) {
		var buf []Bid
		for k := range s.slices {
			buf = s.Slice(k, buf[:0])
			for _, b := range buf {
				if !yield(b) {
					return
				}
			}
		}
	}
}

// bid draws one bid of a cell whose slice begins at from; the highest one pays the ceiling.
func (s *Set) bid(random *rand.Rand, c cell, from time.Duration, highest bool) Bid {
	r := &s.raffles[c.raffle]
	b := Bid{
		RaffleID:  r.ID,
		UserID:    int64(s.userIDs[s.users.Rank(random)-1]),
		Size:      Size(random),
		Quantity:  quantity(random.IntN(100)),
		CreatedAt: between(random, max(from, r.Starts), min(from+sliceLength, r.end())),
		Price:     s.ceilings[c.raffle],
	}
	if b.UserID == r.SellerID { // nobody bids for their own shoe
		b.UserID = b.UserID%int64(s.scale.Users) + 1
	}
	if !highest {
		b.Price = s.price(random, c.raffle, b.CreatedAt)
	}
	return b
}

// price rises with the raffle: between 0.6 times the release price and the ceiling, one fourth of the
// way by time, the rest by chance with the middle likeliest.
func (s *Set) price(random *rand.Rand, raffle int32, at time.Duration) int32 {
	r := &s.raffles[raffle]
	floor := 0.6 * float64(s.products[r.ProductID-1].ReleasePrice)
	elapsed := float64(at-r.Starts) / float64(r.end()-r.Starts)
	share := 0.25*elapsed + 0.375*(random.Float64()+random.Float64())
	return min(roundPrice(floor+share*(float64(s.ceilings[raffle])-floor)), s.ceilings[raffle])
}

// quantity is 1 for 92 of 100, 2 for 6 and 3 for 2.
func quantity(percent int) int32 {
	switch {
	case percent < 92:
		return 1
	case percent < 98:
		return 2
	}
	return 3
}
