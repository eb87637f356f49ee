package reconcile

import (
	"hash/maphash"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
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

func shownOf(b client.Bid) shown {
	return shown{ID: b.ID, Raffle: b.RaffleID, User: b.UserID, Size: int16(b.Size), Price: b.Price, Quantity: b.Quantity, Created: b.CreatedAt}
}

func (b shown) row() row {
	return row{Raffle: b.Raffle, User: b.User, Size: b.Size, Price: b.Price, Quantity: b.Quantity, Created: b.Created.UnixMicro()}
}

// rows are the bids since the run began, by id less the last id before it.
type rows []found

// found says where a bid is.
type found struct {
	print uint64       // of its row; 0: there is none
	redis [orders]bool // in which orders Redis has it
}

// maxRows bounds rows to 4 GB.
const maxRows = 1 << 28

// at returns what is found of a bid, which is valid until the next call; nil for one that is older or can't be held.
func (r *rows) at(n int64) *found {
	if n <= 0 || n >= maxRows {
		return nil
	}
	if missing := int(n) + 1 - len(*r); missing > 0 {
		*r = append(*r, make([]found, missing)...)
	}
	return &(*r)[n]
}
