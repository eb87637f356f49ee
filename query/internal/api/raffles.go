package api

import (
	"context"
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

func (a *API) raffles(w http.ResponseWriter, r *http.Request) error {
	p := readParams(r, "status", "limit", "cursor")
	q := bidbook.RafflesQuery{Status: statuses[p.choice("status", "open", "closed", "all")], Limit: p.number("limit", maxRaffles, defaultLimit)}
	l, err := a.list(r, p, cursor{kind: byte(q.Status)})
	if err != nil {
		return err
	}
	if l.from == nil {
		return a.firstRaffles(w, r, q, l)
	}
	q.After = l.after()
	page, at, err := a.book.Raffles(r.Context(), q, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	return newDocument(rafflePage(page, at, l)).send(w, r, at)
}

// firstRaffles answers with the page that was encoded for the last request, if nothing has changed.
func (a *API) firstRaffles(w http.ResponseWriter, r *http.Request, q bidbook.RafflesQuery, l list) error {
	shelf := a.pages.shelf(pageKey{q.Status, q.Limit})
	seen := shelf.page.Load()
	if kept := seen; kept != nil {
		known := q
		known.Known = &kept.validity
		page, at, err := a.book.Raffles(r.Context(), known, l.want)
		switch {
		case err != nil:
			return a.failed(w, at, err)
		case page.Answer == bidbook.Unchanged:
			return kept.document.send(w, r, at)
		case page.Answer == bidbook.Page:
			return newDocument(rafflePage(page, at, l)).send(w, r, at)
		}
	}
	document, at, err := a.encodeRaffles(r.Context(), shelf, seen, q, l)
	if err != nil {
		return a.failed(w, at, err)
	}
	return document.send(w, r, at)
}

// encodeRaffles reads and encodes a page. Those that come while one does that take its page. If it was not
// kept, because SQL had to answer, they don't queue up one behind the other.
func (a *API) encodeRaffles(ctx context.Context, shelf *shelf, seen *keptPage, q bidbook.RafflesQuery, l list) (*document, bidbook.Position, error) {
	if shelf.encoding.TryLock() {
		defer shelf.encoding.Unlock()
	} else {
		shelf.encoding.Lock()
		kept := shelf.page.Load()
		shelf.encoding.Unlock()
		if kept != nil && kept != seen && kept.serves(a.book, l) {
			return kept.document, kept.at, nil
		}
	}
	page, at, err := a.book.Raffles(ctx, q, l.want)
	if err != nil {
		return nil, at, err
	}
	document := newDocument(rafflePage(page, at, l))
	if page.Validity.Version != "" {
		document.kept = true
		a.pages.keep(shelf, &keptPage{document: document, validity: page.Validity, at: at})
	}
	return document, at, nil
}

// rafflePage encodes a page. Its cursor carries the position at which it was read: while nothing changes,
// a later page is right from there on, whenever the first one is answered again.
func rafflePage(page bidbook.RafflePage, at bidbook.Position, l list) []byte {
	var next *cursor
	if page.More {
		last := page.Raffles[len(page.Raffles)-1]
		next = l.next(bidbook.Keyset{At: last.EndsAt, ID: last.ID}, at)
	}
	return append(appendRafflePage(nil, page.Raffles, next), '\n')
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
	return respond(w, at, func(dst []byte) []byte { return appendDetail(dst, detail) })
}
