package reconcile

import "cmp"

// order is one of those in which the bids of a set are read.
type order int

const (
	newest order = iota
	highest
	orders = iota
)

func (o order) String() string { return [orders]string{"newest", "highest"}[o] }

// compare is below 0 if a comes before b.
func (o order) compare(a, b shown) int {
	older := cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	if o == newest {
		return -older
	}
	return cmp.Or(-cmp.Compare(a.Price, b.Price), older)
}

// walk is a way through a set in one order.
type walk struct {
	order       order
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
