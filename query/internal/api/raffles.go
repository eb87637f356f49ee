package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

func (a *API) raffles(w http.ResponseWriter, r *http.Request) error {
	p := readParams(r, "status", "q", "category", "ends_before", "expand", "limit", "cursor")
	expand := p.set("expand", "product", "highest")
	q := bidbook.SearchQuery{Filter: filterIn(p), Product: slices.Contains(expand, "product"), Highest: slices.Contains(expand, "highest")}
	q.Status = statuses[p.choice("status", "open", "closed", "all")]
	before := p.time("ends_before")
	is := cursor{kind: byte(q.Status), filter: filterOf(q.Text, q.Category, textOf(before))}
	if q.Filter != (bidbook.Filter{}) || len(expand) > 0 {
		return a.search(w, r, p, is, q, before)
	}
	q.Limit = p.number("limit", maxRaffles, defaultLimit)
	l, err := a.list(r, p, is)
	if err == nil {
		err = a.spendRows(w, r, listWeight, q.Limit, raffleRows)
	}
	if err != nil {
		return err
	}
	q.After = l.endsBefore(before)
	page, at, err := a.book.Raffles(r.Context(), q.RafflesQuery, l.want)
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

// endsBefore is where a list of raffles begins: behind its cursor, or else behind the raffles that end at a time or
// later (microseconds since 1970; 0: none does).
func (l list) endsBefore(at int64) *bidbook.Keyset {
	if l.from == nil && at != 0 {
		return &bidbook.Keyset{At: at}
	}
	return l.after()
}

// textOf is a number for filterOf. 0 is empty.
func textOf(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
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
		return a.listings.encoded(status, page.Listing).document(page.First, page.First+len(page.Raffles), tail, l.from == nil && l.is.filter == 0), next
	}
	rows, _, sums := encodeRows(page.Raffles)
	n := len(page.Raffles)
	return newDocument(rows, tail, sums[n].tag(n, page.More)), next
}

func (a *API) raffle(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "raffle_id", errNoRaffle)
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
