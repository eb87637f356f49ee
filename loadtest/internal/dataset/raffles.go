package dataset

import (
	"math/rand/v2"
	"slices"
	"time"
)

// won is the step of all prices: 1,000 KRW.
const won = 1_000

// The times of raffles. Ids follow the start; the open ones started last and end in ten years.
const (
	history    = 365 * 24 * time.Hour   // nothing started earlier
	recent     = 14 * 24 * time.Hour    // open raffles started within it, closed ones before it
	shortest   = 24 * time.Hour         // of closed raffles
	longest    = 13 * 24 * time.Hour    // of closed raffles; under recent, so that all have ended
	lastStart  = time.Hour              // the latest start of an open raffle, ago
	openEnds   = 3_652 * 24 * time.Hour // ten years
	openSpread = time.Minute            // between the ends of open raffles
)

// Raffle is an auction of one product.
type Raffle struct {
	ID        int64
	ProductID int64
	SellerID  int64
	Starts    time.Duration
	Ends      time.Duration
	// Closed raffles closed when they ended.
	Closed bool
	// ClosingPrice is the highest price bid in a closed raffle, in KRW; 0 if nobody bid.
	ClosingPrice int32
	// Rank is the place by expected number of bids: 1 is the hottest raffle.
	Rank int
	// BidCount is how many bids the raffle has.
	BidCount int64
}

// planRaffles leaves the bid counts and closing prices to planBids.
func (s *Set) planRaffles() {
	s.raffles = make([]Raffle, s.scale.Raffles)
	random := s.random(forRaffles, 0)
	closed := s.scale.Raffles - s.scale.Open
	closedStarts := sortedOffsets(random, closed, -history, -recent)
	openStarts := sortedOffsets(random, s.scale.Open, -recent, -lastStart)
	openOrder := random.Perm(s.scale.Open)
	for i := range s.raffles {
		r := &s.raffles[i]
		r.ID = int64(i + 1)
		r.ProductID = 1 + random.Int64N(int64(s.scale.Products))
		r.SellerID = 1 + random.Int64N(int64(s.scale.Users))
		if r.Closed = i < closed; r.Closed {
			r.Starts = closedStarts[i]
			r.Ends = r.Starts + between(random, shortest, longest)
		} else {
			r.Starts = openStarts[i-closed]
			r.Ends = openEnds + time.Duration(openOrder[i-closed])*openSpread
		}
	}
	for rank, index := range s.rankedRaffles(random) {
		s.raffles[index].Rank = rank + 1
	}
	s.planCeilings(random)
}

// rankedRaffles returns the indexes of all raffles, hottest first. Open and closed raffles are shuffled
// separately and dealt evenly, an open one first, so that the hottest raffle still takes bids and every part of
// the distribution has its share of open raffles.
func (s *Set) rankedRaffles(random *rand.Rand) []int {
	total, open := s.scale.Raffles, s.scale.Open
	openOrder, closedOrder := random.Perm(open), random.Perm(total-open)
	ranked := make([]int, 0, total)
	dealt := 0
	for i := range total {
		// ceil((i+1) * open / total) open raffles are among the first i+1.
		if want := ((i+1)*open + total - 1) / total; dealt < want {
			ranked = append(ranked, total-open+openOrder[dealt])
			dealt++
			continue
		}
		ranked = append(ranked, closedOrder[i-dealt])
	}
	return ranked
}

// planCeilings decides the highest price of each raffle: 1.2 to 2.4 times the release price.
func (s *Set) planCeilings(random *rand.Rand) {
	s.ceilings = make([]int32, len(s.raffles))
	for i, r := range s.raffles {
		release := s.products[r.ProductID-1].ReleasePrice
		s.ceilings[i] = roundPrice(float64(release) * (1.2 + 1.2*random.Float64()))
	}
}

// end returns when bids stop: the end of a closed raffle, the moment of loading for an open one.
func (r Raffle) end() time.Duration { return min(r.Ends, 0) }

// sortedOffsets returns n offsets in [from, to) in ascending order.
func sortedOffsets(random *rand.Rand, n int, from, to time.Duration) []time.Duration {
	offsets := make([]time.Duration, n)
	for i := range offsets {
		offsets[i] = between(random, from, to)
	}
	slices.Sort(offsets)
	return offsets
}

// between returns a duration in [from, to) in whole microseconds; both must be whole ones too.
func between(random *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(random.Int64N(int64((to-from)/time.Microsecond)))*time.Microsecond
}

// roundPrice rounds to the step of prices, to at least one step.
func roundPrice(krw float64) int32 {
	return max(int32(krw/won+0.5), 1) * won
}
