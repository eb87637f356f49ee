package bid

import (
	"slices"
	"sync"
)

// MaxSizes bounds the sizes that the bids of a raffle have, because each size makes every read of the raffle dearer. A
// size does not count once all its bids are cancelled. An instance that has not seen the cancellations may accept that
// size again, so each instance may add up to MaxSizes.
const MaxSizes = 64

// sizes remembers sizes that raffles have, so that the sizes of a raffle are seldom counted. The zero value knows
// none.
type sizes struct {
	mu      sync.RWMutex
	raffles map[int64][]int16
}

// mostRaffles bounds the memory of sizes to some 10 MB.
const mostRaffles = 50_000

func (s *sizes) has(raffleID int64, size int16) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Contains(s.raffles[raffleID], size)
}

// note remembers a size. If MaxSizes sizes of the raffle are remembered already, they are forgotten first, because
// some of them may be gone.
func (s *sizes) note(raffleID int64, size int16) {
	if s.has(raffleID, size) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raffles == nil || len(s.raffles) >= mostRaffles {
		s.raffles = make(map[int64][]int16)
	}
	of := s.raffles[raffleID]
	if len(of) >= MaxSizes {
		of = nil
	}
	s.raffles[raffleID] = append(of, size)
}

// forget forgets the sizes of a raffle after a cancellation, because one of them may be gone.
func (s *sizes) forget(raffleID int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.raffles, raffleID)
}

// unseen returns the places (counted from 1), raffles and sizes of the bids whose size is not remembered for their
// raffle.
func (s *sizes) unseen(bids []Bid) (places []int32, raffles []int64, unseen []int16) {
	for i, b := range bids {
		if !s.has(b.RaffleID, b.Size) {
			places, raffles, unseen = append(places, int32(i+1)), append(raffles, b.RaffleID), append(unseen, b.Size)
		}
	}
	return places, raffles, unseen
}
