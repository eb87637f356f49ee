package redisbook

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// goods is all products of the read model at one version, the highest id first. Redis has no order of them and can't
// search them, so query does both.
type goods struct {
	edition
	all   []readmodel.Product
	texts []string // of each product, what a filter's text is looked for in
}

func newGoods(all []readmodel.Product, e edition) *goods {
	g := &goods{edition: e, all: all, texts: make([]string, len(all))}
	slices.SortFunc(all, func(a, b readmodel.Product) int { return int(min(max(b.ID-a.ID, -1), 1)) })
	for i := range all {
		// A filter's text has no line break, so it is never found across the two.
		g.texts[i] = bidbook.Lower(all[i].Name + "\n" + all[i].Model)
	}
	return g
}

// from is the index of the first product with an id below before.
func (g *goods) from(before int64) int {
	return sort.Search(len(g.all), func(i int) bool { return g.all[i].ID < before })
}

// find returns the index of a product.
func (g *goods) find(id int64) (int, bool) {
	i := g.from(id + 1)
	return i, i < len(g.all) && g.all[i].ID == id
}

// What choose returns besides an index.
const (
	refused = -1 // the filter does not choose the product
	unknown = -2
)

// choose returns the index of a product.
func (g *goods) choose(id int64, f bidbook.Filter) int {
	switch i, is := g.find(id); {
	case !is:
		return unknown
	case !g.matches(i, f):
		return refused
	default:
		return i
	}
}

func (g *goods) matches(i int, f bidbook.Filter) bool {
	return (f.Category == "" || g.all[i].Category == f.Category) && strings.Contains(g.texts[i], f.Text)
}

// goods returns all products as they are at the position returned with them, which has reached minLSN. It returns nil
// if nobody knows them now.
func (r *Redis) goods(ctx context.Context, ask *request, minLSN lsn.Position) (*goods, bidbook.Position, error) {
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) {
		ask.Add("GET", e.RafflesVersion())
		ask.Add("HEXISTS", e.Products(), readmodel.Sentinel)
	})
	if err != nil {
		return nil, p.at, err
	}
	version := p.version(ask.Replies.Bytes())
	whole := ask.Replies.Int() == 1
	switch {
	case ask.Replies.Err() != nil:
		return nil, p.at, ask.Replies.Err()
	case !whole:
		return nil, p.at, fmt.Errorf("%w: no products", bidbook.ErrIncomplete)
	}
	g, at, err := r.products.at(ctx, r, version, p.at)
	if err != nil || g == nil {
		return nil, at, err
	}
	return *g, at, nil
}

// readGoods reads the hash of all products, if it has no more than mostKept.
func (r *Redis) readGoods(ctx context.Context) (*goods, error) {
	ask := r.client.Request()
	defer ask.Release()
	p, err := r.ask(ctx, ask, lsn.Position{}, func(e readmodel.Epoch) { ask.Add("HLEN", e.Products()) })
	if err != nil {
		return nil, err
	}
	n := ask.Replies.Int()
	if err := ask.Replies.Err(); err != nil {
		return nil, err
	}
	if n > mostKept {
		return nil, fmt.Errorf("%w: too many products to search", bidbook.ErrUndecided)
	}
	err = r.again(ctx, ask, p, func(e readmodel.Epoch) {
		ask.Rows(2 * n) // a product is as much work as two bids
		ask.Add("GET", e.RafflesVersion())
		ask.Add("HGETALL", e.Products())
		ask.Add("GET", e.RafflesVersion())
	})
	if err != nil {
		return nil, err
	}
	return readGoods(ask, p)
}

func readGoods(ask *request, p *snapshot) (*goods, error) {
	version := p.version(ask.Replies.Bytes())
	pairs, whole := ask.Replies.Len()/2, false
	all := make([]readmodel.Product, 0, pairs)
	for range pairs {
		field, entry := ask.Replies.Bytes(), ask.Replies.Bytes()
		switch string(field) {
		case readmodel.Sentinel:
			whole = true
		case readmodel.Loading:
		default:
			product, err := readmodel.ParseProduct(entry)
			if err != nil {
				return nil, err
			}
			all = append(all, product)
		}
	}
	if p.version(ask.Replies.Bytes()) != version {
		version = ""
	}
	if ask.Replies.Err() == nil && !whole {
		return nil, fmt.Errorf("%w: no products", bidbook.ErrIncomplete)
	}
	return newGoods(all, edition{version, p.at}), ask.Replies.Err()
}

// errNotKept says that the products or raffles have just changed and are not read again yet. A statement finds what it
// wants among them.
var errNotKept = fmt.Errorf("%w: the raffles or products are changing", bidbook.ErrUndecided)

// Products pages the products that are kept.
func (r *Redis) Products(ctx context.Context, q bidbook.ProductsQuery, minLSN lsn.Position) (page bidbook.ProductPage, at bidbook.Position, err error) {
	ask := r.client.Request()
	defer ask.Release()
	g, at, err := r.goods(ctx, ask, minLSN)
	if err == nil && g == nil {
		err = errNotKept
	}
	if err != nil {
		return page, at, err
	}
	i := 0
	if q.Before != 0 {
		i = g.from(q.Before)
	}
	for ; i < len(g.all) && len(page.Products) <= q.Limit; i++ {
		if g.matches(i, q.Filter) {
			page.Products = append(page.Products, g.all[i])
		}
	}
	page.Products, page.More = bidbook.Cut(page.Products, q.Limit)
	return page, at, nil
}

// Product reads one field of the hash. If the hash is whole, a field that it lacks is a product that does not exist.
func (r *Redis) Product(ctx context.Context, id int64, minLSN lsn.Position) (readmodel.Product, bidbook.Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) {
		ask.Add("HMGET", e.Products(), readmodel.Sentinel, strconv.FormatInt(id, 10))
	})
	if err != nil {
		return readmodel.Product{}, p.at, err
	}
	ask.Replies.Len()
	whole, entry := ask.Replies.Bytes() != nil, ask.Replies.Bytes()
	switch {
	case ask.Replies.Err() != nil:
		return readmodel.Product{}, p.at, ask.Replies.Err()
	case !whole:
		return readmodel.Product{}, p.at, fmt.Errorf("%w: no products", bidbook.ErrIncomplete)
	case entry == nil:
		return readmodel.Product{}, p.at, bidbook.ErrNoProduct
	}
	product, err := readmodel.ParseProduct(entry)
	return product, p.at, err
}
