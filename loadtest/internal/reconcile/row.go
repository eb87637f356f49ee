package reconcile

import (
	"hash/maphash"
	"time"
)

// row is what a bid holds beside its id. Created is in microseconds since 1970.
type row struct {
	Raffle, User    int64
	Size            int16
	Price, Quantity int64
	Created         int64
}

var seed = maphash.MakeSeed()

// print is a hash of a row, by which millions of them are compared in little memory; never 0.
func (r row) print() uint64 { return max(1, maphash.Comparable(seed, r)) }

// row is what the entry's bid must hold in the end.
func (e Entry) row() row {
	return row{Raffle: int64(e.Raffle), User: int64(e.User), Size: e.Size, Price: int64(e.Price), Quantity: int64(e.Quantity), Created: e.Created}
}

// shown is a bid as the APIs show it.
type shown struct {
	ID       int64     `json:"id"`
	Raffle   int64     `json:"raffle_id"`
	User     int64     `json:"user_id"`
	Size     int16     `json:"size"`
	Price    int64     `json:"price"`
	Quantity int64     `json:"quantity"`
	Created  time.Time `json:"created_at"`
}

func (b shown) row() row {
	return row{Raffle: b.Raffle, User: b.User, Size: b.Size, Price: b.Price, Quantity: b.Quantity, Created: b.Created.UnixMicro()}
}

// prints are the hashes of bids by a dense number from 0.
type prints []uint64

// maxPrint bounds prints to 2 GB.
const maxPrint = 1 << 28

// set returns false for a number that can't be held.
func (p *prints) set(n int64, print uint64) bool {
	if n < 0 || n >= maxPrint {
		return false
	}
	for n >= int64(len(*p)) {
		*p = append(*p, 0)
	}
	(*p)[n] = print
	return true
}

// get returns 0 for a number without a bid.
func (p prints) get(n int64) uint64 {
	if n < 0 || n >= int64(len(p)) {
		return 0
	}
	return p[n]
}
