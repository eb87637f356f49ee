package api

import (
	"net/http"
	"strconv"

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

// list is which list a request wants, from where on, and how current the answer must be.
type list struct {
	is     cursor // the fields that all cursors of the list have in common
	from   *cursor
	want   bidbook.Want
	path   string
	params *params
}

// list reads what all requests for lists share. A cursor's position counts like a Min-LSN, so the client need not
// repeat that.
func (a *API) list(r *http.Request, p *params, is cursor) (l list, err error) {
	l.is, l.path, l.params = is, r.URL.Path, p
	if err := p.err(); err != nil {
		return l, err
	}
	if l.want, err = a.want(r); err != nil {
		return l, err
	}
	if l.from, err = p.cursor(is); l.from != nil {
		l.want.From = l.from.first
	}
	return l, err
}

// one is list for a request without query parameters.
func (a *API) one(r *http.Request) (l list, err error) {
	if err := readParams(r).err(); err != nil {
		return l, err
	}
	if l.want, err = a.want(r); err != nil {
		return l, err
	}
	return l, l.noScan()
}

// noScan refuses PathScan, which has plans of its own only for lists.
func (l list) noScan() error {
	if l.want.Force == bidbook.PathScan {
		return badHeader("Read-Path", "scan is for lists of bids and raffles")
	}
	return nil
}

func (l list) after() *bidbook.Keyset {
	if l.from == nil {
		return nil
	}
	return &l.from.after
}

// next returns the cursor of the next page, with the first page's position.
func (l list) next(after bidbook.Keyset, at bidbook.Position) *cursor {
	c := l.is
	c.after, c.first = after, at.At
	if l.from != nil {
		c.first = l.from.first
	}
	return &c
}

// failed names the node and the position of an error in the headers, if a node was asked.
func (a *API) failed(w http.ResponseWriter, at bidbook.Position, err error) error {
	if at.Path != "" {
		setPosition(w.Header(), at)
	}
	return err
}

// setPosition writes header names in canonical form, which saves converting them.
func setPosition(h http.Header, at bidbook.Position) {
	h["Read-Path"] = pathHeaders[at.Path]
	h["Read-Lsn"] = []string{at.At.String()}
	h["Read-Lag-Ms"] = []string{strconv.FormatInt(at.LagMillis, 10)}
}

// pathHeaders are shared by all answers; nobody changes the values of a header in place.
var pathHeaders = func() map[bidbook.Path][]string {
	m := map[bidbook.Path][]string{}
	for _, p := range []bidbook.Path{bidbook.PathRedis, bidbook.PathReplica, bidbook.PathStandby, bidbook.PathPrimary, bidbook.PathScan} {
		m[p] = []string{string(p)}
	}
	return m
}()
