package api

import (
	"math"
	"net/http"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

func (a *API) myBids(w http.ResponseWriter, r *http.Request) error {
	who, err := a.user(r)
	if err != nil {
		return err
	}
	p := readParams(r, "raffle", "limit", "cursor")
	q := bidbook.UserQuery{UserID: who.UserID, RaffleID: int64(p.number("raffle", math.MaxInt, 0)), Limit: p.number("limit", maxBids, defaultLimit)}
	l, err := a.list(r, p, cursor{kind: kindUser, raffle: who.UserID, filter: filterOf(textOf(q.RaffleID))})
	if err == nil {
		err = l.noScan()
	}
	if err == nil {
		err = a.spendRows(w, r, lookupWeight, q.Limit, bidRows)
	}
	if err != nil {
		return err
	}
	q.After = l.after()
	page, at, err := a.book.UserBids(r.Context(), q, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	c := myContent{bids: page.Bids}
	if page.More {
		last := &page.Bids[len(page.Bids)-1]
		c.next = l.next(bidbook.Keyset{At: last.CreatedAt, ID: last.ID}, at)
	}
	return respond(w, r, at, answer{content: c, keep: private, rows: len(page.Bids), list: &l, next: c.next})
}

// user checks the token of a request (RFC 6750, section 2.1).
func (a *API) user(r *http.Request) (auth.Identity, error) {
	values := r.Header["Authorization"]
	scheme, token, _ := strings.Cut(strings.Join(values, ","), " ")
	if len(values) != 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return auth.Identity{}, web.NoToken.Problem("send a token: Authorization: Bearer ...")
	}
	if a.verifier == nil {
		return auth.Identity{}, auth.ErrNoKeys
	}
	return a.verifier.Verify(r.Context(), token)
}

// myContent is a page of a user's bids.
type myContent struct {
	bids []bidbook.StandingBid
	next *cursor
}

func (c myContent) appendBody(dst []byte) []byte {
	var clock clock
	dst = append(dst, `{"bids":[`...)
	for i := range c.bids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendOpenBid(dst, &clock, &c.bids[i].Bid)
		dst = append(append(dst, `,"standing":"`...), c.bids[i].Standing.String()...)
		dst = append(dst, `"}`...)
	}
	return appendNext(append(dst, ']'), c.next)
}

func (c myContent) appendVersion(dst []byte) []byte { return c.appendBody(dst) }
