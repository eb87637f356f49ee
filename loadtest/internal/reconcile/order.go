package reconcile

import (
	"cmp"
	"encoding/json"
)

// Order is one of those in which the bids of a set are read.
type Order int

// The orders of the API.
const (
	Newest Order = iota
	Highest
	orders = iota
)

// String is the value of the parameter order.
func (o Order) String() string { return [orders]string{"newest", "highest"}[o] }

// page is one of the load's own reads.
type page struct {
	Bids []shown `json:"bids"`
	Next string  `json:"next_cursor"`
}

// Sorted says whether a page of bids is in this order.
func (o Order) Sorted(body []byte) bool {
	var p page
	if json.Unmarshal(body, &p) != nil {
		return false
	}
	for i := range p.Bids[min(1, len(p.Bids)):] {
		if o.compare(p.Bids[i], p.Bids[i+1]) >= 0 {
			return false
		}
	}
	return true
}

// ShownByNewest says whether the first page of the newest bids of the entry's set shows the entry's bid as it was sent, or is
// full of newer ones.
func (e Entry) ShownByNewest(body []byte) bool {
	var p page
	if json.Unmarshal(body, &p) != nil || !Newest.Sorted(body) {
		return false
	}
	for _, b := range p.Bids {
		if b.ID == e.ID {
			return b.row() == e.row()
		}
	}
	return p.Next != "" && p.Bids[len(p.Bids)-1].Created.UnixMicro() >= e.Created
}

// compare is below 0 if a comes before b.
func (o Order) compare(a, b shown) int {
	older := cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	if o == Newest {
		return -older
	}
	return cmp.Or(-cmp.Compare(a.Price, b.Price), older)
}

// walk is a way through a set in one order.
type walk struct {
	order       Order
	set         Set
	bids        int64
	first, last shown
}

// next takes the next bid and says whether it belongs there.
func (w *walk) next(b shown) (placed bool) {
	placed = b.Size == w.set.Size && b.Raffle == int64(w.set.Raffle)
	if w.bids == 0 {
		w.first = b
	} else {
		placed = placed && w.order.compare(w.last, b) < 0
	}
	w.bids++
	w.last = b
	return placed
}
