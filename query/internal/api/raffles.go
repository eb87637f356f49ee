package api

import (
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

func (a *API) raffles(w http.ResponseWriter, r *http.Request) error {
	p := readParams(r, "status", "limit", "cursor")
	q := bidbook.RafflesQuery{Status: statuses[p.choice("status", "open", "closed", "all")], Limit: p.number("limit", maxRaffles, defaultLimit)}
	l, err := a.list(r, p, cursor{kind: byte(q.Status)})
	if err == nil {
		err = a.spendRows(r, q.Limit, raffleRows)
	}
	if err != nil {
		return err
	}
	q.After = l.after()
	page, at, err := a.book.Raffles(r.Context(), q, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	d, next := a.rafflePage(q.Status, l, page, at)
	if n := len(page.Raffles); !d.kept {
		d.long = n > longPage && n <= maxBids
	}
	l.setLink(w.Header(), next)
	return d.send(w, r, at)
}

// rafflePage is a page as it is sent. The cursor of one from a listing carries the position from which on the listing
// is right: later pages are right from there on, too, and equal pages have equal bytes.
func (a *API) rafflePage(status bidbook.Status, l list, page bidbook.RafflePage, at bidbook.Position) (d *document, next *cursor) {
	from := at.At
	if page.Listing != nil {
		from = page.Listing.At
	}
	if page.More {
		last := page.Raffles[len(page.Raffles)-1]
		next = l.next(bidbook.Keyset{At: last.EndsAt, ID: last.ID}, bidbook.Position{At: from})
	}
	tail := append(appendNext([]byte{']'}, next), '\n')
	if page.Listing != nil {
		return a.listings.encoded(status, page.Listing).document(page.First, page.First+len(page.Raffles), tail, l.from == nil), next
	}
	rows, _, sums := encodeRows(page.Raffles)
	n := len(page.Raffles)
	return newDocument(rows, tail, sums[n].tag(n, page.More)), next
}

func (a *API) raffle(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "id", errNoRaffle)
	if err != nil {
		return err
	}
	l, err := a.one(r)
	if err != nil {
		return err
	}
	detail, at, err := a.book.Raffle(r.Context(), id, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	keep := checkedOne
	if detail.Raffle.ClosedAt != 0 {
		keep = closedDetail
	}
	return respond(w, r, at, answer{content: detailContent(detail), keep: keep})
}
