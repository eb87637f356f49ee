package api

import (
	"net/http"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// The kinds of cursors of lists whose order can't be chosen.
const (
	kindSize     = 's'
	kindUser     = 'u'
	kindProducts = 'p'
)

// rooms hold the bids of pages.
var rooms = sync.Pool{New: func() any { return new([]readmodel.Bid) }}

func (a *API) raffleBids(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "raffle_id", errNoRaffle)
	if err != nil {
		return err
	}
	p := readParams(r, "size", "order", "min_price", "max_price", "limit", "cursor")
	q := bidbook.BidsQuery{RaffleID: id, Order: orders[p.choice("order", "newest", "highest")]}
	if _, one := p.get("size"); !one && q.Order == bidbook.Newest {
		return a.allBids(w, r, p, q)
	}
	p.required("size")
	q.Size, q.Limit = int16(p.number("size", maxSize, 1)), p.number("limit", maxBids, defaultLimit)
	prices := priceRange(p, q.Order)
	l, err := a.list(r, p, cursor{kind: byte(q.Order), raffle: id, size: q.Size, filter: prices.filter()})
	if err == nil {
		err = a.spendRows(w, r, listWeight, q.Limit, bidRows)
	}
	if err != nil {
		return err
	}
	room := rooms.Get().(*[]readmodel.Bid)
	defer rooms.Put(room)
	q.Buf, q.After = *room, prices.start(l.after())
	page, at, err := a.book.Bids(r.Context(), q, l.want)
	return a.bidPage(w, r, l, room, prices.cut(page), at, err)
}

func (a *API) sizeBids(w http.ResponseWriter, r *http.Request) error {
	p := readParams(r, "size", "limit", "cursor")
	p.required("size")
	q := bidbook.SizeQuery{Size: int16(p.number("size", maxSize, 1)), Limit: p.number("limit", maxBids, defaultLimit)}
	l, err := a.list(r, p, cursor{kind: kindSize, size: q.Size})
	if err == nil {
		err = a.spendRows(w, r, listWeight, q.Limit, bidRows)
	}
	if err != nil {
		return err
	}
	room := rooms.Get().(*[]readmodel.Bid)
	defer rooms.Put(room)
	q.Buf, q.After = *room, l.after()
	page, at, err := a.book.SizeBids(r.Context(), q, l.want)
	return a.bidPage(w, r, l, room, page, at, err)
}

// bidPage answers with a page whose bids were read into room.
func (a *API) bidPage(w http.ResponseWriter, r *http.Request, l list, room *[]readmodel.Bid, page bidbook.BidPage, at bidbook.Position, err error) error {
	if err != nil {
		return a.failed(w, at, err)
	}
	*room = page.Bids
	var next *cursor
	if page.More {
		b := page.Bids[len(page.Bids)-1]
		after := bidbook.Keyset{At: b.CreatedAt, ID: b.ID}
		if l.is.kind == byte(bidbook.Highest) {
			after.Price = b.Price
		}
		next = l.next(after, at)
	}
	return respond(w, r, at, answer{content: bidsContent{page.Bids, next}, keep: checkedList, rows: len(page.Bids), list: &l, next: next})
}

func (a *API) bid(w http.ResponseWriter, r *http.Request) error {
	raffle, err := pathID(r, "raffle_id", errNoRaffle)
	if err != nil {
		return err
	}
	id, err := pathID(r, "bid_id", bidbook.ErrNoBid)
	if err != nil {
		return err
	}
	l, err := a.one(r)
	if err != nil {
		return err
	}
	b, at, err := a.book.Bid(r.Context(), raffle, id, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	keep := untagged
	if b.Final {
		keep = final
	}
	return respond(w, r, at, answer{content: bidContent(b.Bid), keep: keep})
}

// pathID reads an id from the path. A text that can't be an id gets the error for an unknown one.
func pathID(r *http.Request, name string, missing error) (int64, error) {
	if id := web.PathID(r, name); id != 0 {
		return id, nil
	}
	return 0, missing
}
