package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/live"
)

// AppendEvent encodes what a live event carries: the bid as every read shows it, or how the raffle closed.
func AppendEvent(dst []byte, raffleID int64, e *readmodel.Event) []byte {
	var c clock
	if e.Kind != readmodel.EventClose {
		return appendBid(dst, &c, &e.Bid)
	}
	dst = appendInt(dst, `{"raffle_id":`, raffleID)
	dst = c.append(dst, `,"closed_at":`, e.ClosedAt)
	if e.ClosingPrice == 0 {
		return append(dst, `,"closing_price":null}`...)
	}
	return append(appendInt(dst, `,"closing_price":`, int64(e.ClosingPrice)), '}')
}

// Closing lets the feeds ask how a raffle closed.
func Closing(book *bidbook.Chain) live.Closing {
	return func(ctx context.Context, raffleID int64, holds lsn.Position) (*readmodel.Event, error) {
		r, _, err := book.Entry(ctx, raffleID, bidbook.Want{Min: holds})
		if err != nil || r.ClosedAt == 0 {
			return nil, err
		}
		return &readmodel.Event{Kind: readmodel.EventClose, ClosedAt: r.ClosedAt, ClosingPrice: r.ClosingPrice}, nil
	}
}

// live feeds a client. An EventSource gets an empty feed instead of a temporary refusal, because it gives up for ever
// on any status but 200.
func (a *API) live(w http.ResponseWriter, r *http.Request) error {
	err := a.follow(w, r)
	if err != nil && temporary(err) && live.WantsEvents(r) {
		return a.feed.Refuse(w)
	}
	return err
}

func (a *API) follow(w http.ResponseWriter, r *http.Request) error {
	if err := a.spend(w, r, feedWeight, 0); err != nil {
		return err
	}
	id, err := pathID(r, "raffle_id", errNoRaffle)
	if err != nil {
		return err
	}
	p := readParams(r, "size", "last_event_id")
	size := int16(p.number("size", maxSize, 0))
	if err := p.err(); err != nil {
		return err
	}
	l := list{}
	if l.want, err = a.want(r); err != nil {
		return err
	}
	if err := l.noScan(); err != nil {
		return err
	}
	from, err := lastEventID(r, p)
	if err != nil {
		return err
	}
	if _, at, err := a.book.Entry(r.Context(), id, l.want); err != nil {
		return a.failed(w, at, err)
	}
	return a.feed.ServeSSE(w, r, id, size, from)
}

// temporary says whether a request that was refused may succeed later.
func temporary(err error) bool {
	var p *web.Problem
	if !errors.As(err, &p) {
		p = problem(err)
	}
	return p != nil && (p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests)
}

// joinable returns why a raffle can't be joined, in words for a socket.io client, or "" if it can.
func (a *API) joinable(ctx context.Context, raffleID int64) string {
	_, _, err := a.book.Entry(ctx, raffleID, bidbook.Want{})
	if err == nil {
		return ""
	}
	if p := problem(err); p != nil {
		return p.Detail
	}
	return "something went wrong here"
}

// lastEventID reads the header that a client sends when it comes back (HTML standard, Server-sent events), or else the
// parameter of a client that can't send headers, such as an EventSource that is made anew.
func lastEventID(r *http.Request, p *params) (live.Position, error) {
	list := r.Header.Values("Last-Event-ID")
	if len(list) == 0 || list[0] == "" {
		text, _ := p.get("last_event_id")
		if text == "" {
			return live.Position{}, nil
		}
		from, err := live.ParsePosition(text)
		if err != nil {
			p.malformed = append(p.malformed, web.FieldError{Field: "last_event_id", Detail: "must be the id of an event of this feed"})
		}
		return from, p.err()
	}
	from, err := live.ParsePosition(list[0])
	if err != nil || len(list) > 1 {
		return from, badHeader("Last-Event-ID", "must be the id of an event of this feed")
	}
	return from, nil
}
