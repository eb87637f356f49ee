package api

import (
	"encoding/binary"
	"math"
	"net/http"
	"sort"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// maxMerged is how many bids of all sizes a page has at most, because each size may have to give as many.
const maxMerged = 200

// allBids lists the bids of all sizes of a raffle, newest first.
func (a *API) allBids(w http.ResponseWriter, r *http.Request, p *params, q bidbook.BidsQuery) error {
	priceRange(p, q.Order)
	q.Limit = p.number("limit", maxMerged, defaultLimit)
	l, err := a.list(r, p, cursor{kind: byte(q.Order), raffle: q.RaffleID})
	if err == nil {
		err = l.noScan()
	}
	if err == nil {
		err = a.spend(w, r, merging+q.Limit/mergedRows, listWeight)
	}
	if err != nil {
		return err
	}
	room := rooms.Get().(*[]readmodel.Bid)
	defer rooms.Put(room)
	q.Buf, q.After = *room, l.after()
	page, at, err := a.book.AllSizes(r.Context(), q, l.want)
	return a.bidPage(w, r, l, room, page, at, err)
}

// prices is a range of prices in KRW; 0: without a bound.
type prices struct{ low, high int32 }

// priceRange reads the range, which only a list by price can have.
func priceRange(p *params, order bidbook.Order) prices {
	v := prices{int32(p.number("min_price", math.MaxInt32, 0)), int32(p.number("max_price", math.MaxInt32, 0))}
	for _, name := range []string{"min_price", "max_price"} {
		if _, given := p.get(name); given && order != bidbook.Highest {
			p.malformed = append(p.malformed, web.FieldError{Field: name, Detail: "is for order=highest"})
		}
	}
	if v.high > 0 && v.low > v.high {
		p.outOfRange = append(p.outOfRange, web.FieldError{Field: "min_price", Detail: "must not be above max_price"})
	}
	return v
}

func (v prices) filter() uint64 { return filterOf(textOf(int64(v.low)), textOf(int64(v.high))) }

// start is where the list begins: behind its cursor, or else before all bids of the highest price of the range.
func (v prices) start(after *bidbook.Keyset) *bidbook.Keyset {
	if after == nil && v.high > 0 {
		return &bidbook.Keyset{Price: v.high}
	}
	return after
}

// cut ends a page before the first bid below the range.
func (v prices) cut(page bidbook.BidPage) bidbook.BidPage {
	n := sort.Search(len(page.Bids), func(i int) bool { return page.Bids[i].Price < v.low })
	if v.low > 0 && n < len(page.Bids) {
		return bidbook.BidPage{Bids: page.Bids[:n]}
	}
	return page
}

// best answers with the best bid of each size.
func (a *API) best(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "raffle_id", errNoRaffle)
	if err != nil {
		return err
	}
	l, err := a.one(r)
	if err != nil {
		return err
	}
	best, at, err := a.book.Best(r.Context(), id, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	keep := checkedOne
	if best.Raffle.ClosedAt != 0 {
		keep = final
	}
	return respond(w, r, at, answer{content: bestContent(best), keep: keep})
}

type bestContent bidbook.BestBids

func (c bestContent) appendBody(dst []byte) []byte {
	var clock clock
	dst = appendInt(dst, `{"raffle_id":`, c.Raffle.ID)
	if c.Raffle.ClosedAt == 0 {
		dst = append(dst, `,"closed_at":null`...)
	} else {
		dst = clock.append(dst, `,"closed_at":`, c.Raffle.ClosedAt)
	}
	dst = append(dst, `,"bids":[`...)
	for i := range c.Bids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendBid(dst, &clock, &c.Bids[i])
	}
	return append(dst, `]}`...)
}

// appendVersion appends the ids. A closed raffle has no entity tag.
func (c bestContent) appendVersion(dst []byte) []byte {
	for i := range c.Bids {
		dst = binary.BigEndian.AppendUint64(dst, uint64(c.Bids[i].ID))
	}
	return dst
}
