package api

import (
	"net/http"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// The bounds of lists that are made for one request.
const (
	maxFound   = 1_000
	maxHighest = 100 // with the best bid of each size of each raffle
)

// filterIn reads the parameters that choose products.
func filterIn(p *params) bidbook.Filter {
	return bidbook.Filter{Text: bidbook.Lower(p.text("q")), Category: p.text("category")}
}

// search lists raffles by their products, or with more than their own fields.
func (a *API) search(w http.ResponseWriter, r *http.Request, p *params, is cursor, q bidbook.SearchQuery, before int64) error {
	most := maxFound
	if q.Highest {
		most = maxHighest
	}
	q.Limit = p.number("limit", most, defaultLimit)
	l, err := a.list(r, p, is)
	if err == nil {
		err = l.noScan()
	}
	if err == nil {
		err = a.spendSearch(w, r, q)
	}
	if err != nil {
		return err
	}
	q.After = l.endsBefore(before)
	page, at, err := a.book.Search(r.Context(), q, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	c := foundContent{found: page.Found, product: q.Product, highest: q.Highest}
	if page.More {
		last := &page.Found[len(page.Found)-1].Raffle
		c.next = l.next(bidbook.Keyset{At: last.EndsAt, ID: last.ID}, at)
	}
	return respond(w, r, at, answer{content: c, keep: checkedList, rows: len(page.Found), list: &l, next: c.next})
}

func (a *API) products(w http.ResponseWriter, r *http.Request) error {
	p := readParams(r, "q", "category", "limit", "cursor")
	q := bidbook.ProductsQuery{Filter: filterIn(p), Limit: p.number("limit", maxFound, defaultLimit)}
	l, err := a.list(r, p, cursor{kind: kindProducts, filter: filterOf(q.Text, q.Category)})
	if err == nil {
		err = l.noScan()
	}
	if err == nil {
		err = a.spendSearch(w, r, bidbook.SearchQuery{Filter: q.Filter, RafflesQuery: bidbook.RafflesQuery{Limit: q.Limit}})
	}
	if err != nil {
		return err
	}
	if l.from != nil {
		q.Before = l.from.after.ID
	}
	page, at, err := a.book.Products(r.Context(), q, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	c := productsContent{products: page.Products}
	if page.More {
		c.next = l.next(bidbook.Keyset{ID: page.Products[len(page.Products)-1].ID}, at)
	}
	return respond(w, r, at, answer{content: c, keep: checkedList, rows: len(page.Products), list: &l, next: c.next})
}

func (a *API) product(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, "product_id", bidbook.ErrNoProduct)
	if err != nil {
		return err
	}
	l, err := a.one(r)
	if err != nil {
		return err
	}
	product, at, err := a.book.Product(r.Context(), id, l.want)
	if err != nil {
		return a.failed(w, at, err)
	}
	return respond(w, r, at, answer{content: productContent(product), keep: checkedOne})
}

// foundContent is a page of raffles that were searched.
type foundContent struct {
	found            []bidbook.FoundRaffle
	product, highest bool
	next             *cursor
}

func (c foundContent) appendRows(dst []byte) []byte {
	var clock clock
	dst = append(dst, rafflesHead...)
	for i := range c.found {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRaffle(dst, &clock, &c.found[i].Raffle)
		if c.product {
			dst = appendProduct(append(dst, `,"product":`...), &c.found[i].Product)
		}
		switch highest := c.found[i].Highest; {
		case c.highest && highest == 0:
			dst = append(dst, `,"highest":null`...)
		case c.highest:
			dst = appendInt(dst, `,"highest":`, int64(highest))
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func (c foundContent) appendBody(dst []byte) []byte    { return appendNext(c.appendRows(dst), c.next) }
func (c foundContent) appendVersion(dst []byte) []byte { return appendMore(c.appendRows(dst), c.next) }

// productsContent is a page of products.
type productsContent struct {
	products []readmodel.Product
	next     *cursor
}

func (c productsContent) appendRows(dst []byte) []byte {
	dst = append(dst, `{"products":[`...)
	for i := range c.products {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendProduct(dst, &c.products[i])
	}
	return append(dst, ']')
}

func (c productsContent) appendBody(dst []byte) []byte { return appendNext(c.appendRows(dst), c.next) }
func (c productsContent) appendVersion(dst []byte) []byte {
	return appendMore(c.appendRows(dst), c.next)
}

type productContent readmodel.Product

func (c productContent) appendBody(dst []byte) []byte {
	return appendProduct(dst, (*readmodel.Product)(&c))
}
func (c productContent) appendVersion(dst []byte) []byte { return c.appendBody(dst) }
