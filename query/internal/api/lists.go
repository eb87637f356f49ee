package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/gorilla/mux"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// The bounds of lists.
const (
	maxBids      = 2_000
	maxRaffles   = 10_000
	defaultLimit = 50
	maxSize      = 1<<15 - 1
)

var orders = map[string]bidbook.Order{"newest": bidbook.Newest, "highest": bidbook.Highest}

var statuses = map[string]bidbook.Status{"open": bidbook.Open, "closed": bidbook.Closed, "all": bidbook.All}

// rooms hold the bids of pages.
var rooms = sync.Pool{New: func() any { return new([]readmodel.Bid) }}

func (a *API) raffleBids(w http.ResponseWriter, r *http.Request) error {
	id, err := raffleID(mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	p := readParams(r, "size", "order", "limit", "cursor")
	p.required("size")
	q := bidbook.BidsQuery{RaffleID: id, Size: int16(p.number("size", maxSize, 1)),
		Order: orders[p.choice("order", "newest", "highest")], Limit: p.number("limit", maxBids, defaultLimit)}
	list := cursor{kind: byte(q.Order), raffle: id, size: q.Size}
	want, from, err := a.page(r, p, list)
	if err != nil {
		return err
	}
	if from != nil {
		q.After = &from.after
	}
	room := rooms.Get().(*[]readmodel.Bid)
	defer rooms.Put(room)
	q.Room = *room
	page, at, err := a.book.Bids(r.Context(), q, want)
	if err != nil {
		return a.listError(w, at, err, from, want)
	}
	*room = page.Bids
	next := cursor{kind: list.kind, raffle: id, size: q.Size, lsn: at.LSN}
	if page.More {
		b := page.Bids[len(page.Bids)-1]
		next.after = bidbook.Keyset{At: b.CreatedAt, ID: b.ID}
		if q.Order == bidbook.Highest {
			next.after.Price = b.Price
		}
	}
	return respond(w, at, func(dst []byte) []byte { return appendBidPage(dst, page.Bids, next.from(from, page.More)) })
}

func (a *API) raffles(w http.ResponseWriter, r *http.Request) error {
	p := readParams(r, "status", "limit", "cursor")
	q := bidbook.RafflesQuery{Status: statuses[p.choice("status", "open", "closed", "all")], Limit: p.number("limit", maxRaffles, defaultLimit)}
	list := cursor{kind: byte(q.Status)}
	want, from, err := a.page(r, p, list)
	if err != nil {
		return err
	}
	if from != nil {
		q.After = &from.after
	}
	page, at, err := a.book.Raffles(r.Context(), q, want)
	if err != nil {
		return a.listError(w, at, err, from, want)
	}
	next := cursor{kind: list.kind, lsn: at.LSN}
	if page.More {
		last := page.Raffles[len(page.Raffles)-1]
		next.after = bidbook.Keyset{At: last.EndsAt, ID: last.ID}
	}
	return respond(w, at, func(dst []byte) []byte { return appendRafflePage(dst, page.Raffles, next.from(from, page.More)) })
}

func (a *API) raffle(w http.ResponseWriter, r *http.Request) error {
	id, err := raffleID(mux.Vars(r)["id"])
	if err != nil {
		return err
	}
	if err := readParams(r).err(); err != nil {
		return err
	}
	want, err := a.want(r)
	if err != nil {
		return err
	}
	detail, at, err := a.book.Raffle(r.Context(), id, want)
	if err != nil {
		return a.listError(w, at, err, nil, want)
	}
	return respond(w, at, func(dst []byte) []byte { return appendDetail(dst, detail) })
}

// page reads what all lists share. A cursor's position is a Min-LSN that the client need not repeat.
func (a *API) page(r *http.Request, p *params, list cursor) (want bidbook.Want, from *cursor, err error) {
	if err := p.err(); err != nil {
		return want, nil, err
	}
	if want, err = a.want(r); err != nil {
		return want, nil, err
	}
	if from, err = p.cursor(list); from != nil {
		want.Min = max(want.Min, from.lsn)
	}
	return want, from, err
}

// from returns the cursor of the next page, with the first page's position, or nil if there is none.
func (c cursor) from(previous *cursor, more bool) *cursor {
	if !more {
		return nil
	}
	if previous != nil {
		c.lsn = previous.lsn
	}
	return &c
}

// listError says where a failure was found out, and blames the cursor for a position that only it asked for.
func (a *API) listError(w http.ResponseWriter, at bidbook.Position, err error, from *cursor, want bidbook.Want) error {
	if at.Path != "" {
		setPosition(w.Header(), at)
	}
	if errors.Is(err, bidbook.ErrBeyond) && from != nil && from.lsn == want.Min {
		return fmt.Errorf("%w: %w", errOldHistory, err)
	}
	return err
}

// setPosition writes canonical names, which saves making them so.
func setPosition(h http.Header, at bidbook.Position) {
	h["Read-Path"] = pathHeaders[at.Path]
	h["Read-Lsn"] = []string{at.LSN.String()}
	h["Read-Lag-Ms"] = []string{strconv.FormatInt(at.LagMillis, 10)}
}

// pathHeaders are shared by all answers; nobody changes the values of a header in place.
var pathHeaders = func() map[bidbook.Path][]string {
	m := map[bidbook.Path][]string{}
	for _, p := range []bidbook.Path{bidbook.PathRedis, bidbook.PathReplica, bidbook.PathStandby, bidbook.PathPrimary} {
		m[p] = []string{string(p)}
	}
	return m
}()
