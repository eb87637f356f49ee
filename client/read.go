package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A ReadOption changes one read.
type ReadOption func(*call)

// AtLeast makes a read show everything that was committed up to a position. If no path reaches it in time, the read fails.
func AtLeast(p Position) ReadOption { return func(q *call) { q.at = later(p, q.at) } }

// Through makes one path answer, such as redis, where the server allows that.
func Through(path string) ReadOption { return func(q *call) { q.path = path } }

// States of the raffles of a RaffleFilter.
const (
	Open   = "open"   // has started and is not closed
	Closed = "closed" // is closed
	All    = "all"
)

// RaffleFilter chooses raffles. The zero value means all open raffles.
type RaffleFilter struct {
	// Status is Open, Closed or All.
	Status string
	// Text is a part of the product's name or model.
	Text     string
	Category string
	// EndsBefore, if it is not zero, leaves out the raffles that end later.
	EndsBefore time.Time
	// Product and Highest ask for these fields of each raffle.
	Product, Highest bool
	// Limit bounds a page: 50 if it is 0; at most 10,000, with Text, Category or Product 1,000, with Highest 100.
	Limit int
	// Cursor is the Next of the page before.
	Cursor string
}

func (f RaffleFilter) query(cursor string) url.Values {
	var expand []string
	if f.Product {
		expand = append(expand, "product")
	}
	if f.Highest {
		expand = append(expand, "highest")
	}
	var ends string
	if !f.EndsBefore.IsZero() {
		ends = f.EndsBefore.UTC().Format(time.RFC3339Nano)
	}
	return parameters("status", f.Status, "q", f.Text, "category", f.Category, "ends_before", ends,
		"expand", strings.Join(expand, ","), "limit", number(f.Limit), "cursor", cursor)
}

// Raffles returns a page of raffles, latest end first.
func (c *Client) Raffles(ctx context.Context, f RaffleFilter, options ...ReadOption) (Page[Raffle], error) {
	return list[Raffle](ctx, c, "/v1/raffles", f.query(f.Cursor), options)
}

// EachRaffle returns the raffles of all pages.
func (c *Client) EachRaffle(ctx context.Context, f RaffleFilter, options ...ReadOption) iter.Seq2[Raffle, error] {
	return each[Raffle](ctx, c, "/v1/raffles", f.Cursor, f.query, options)
}

// Raffle returns one raffle.
func (c *Client) Raffle(ctx context.Context, raffleID int64, options ...ReadOption) (RaffleDetail, Reading, error) {
	return one[RaffleDetail](ctx, c, rafflePath(raffleID), options)
}

// Best returns the best bid of each size of a raffle.
func (c *Client) Best(ctx context.Context, raffleID int64, options ...ReadOption) (BestBids, Reading, error) {
	return one[BestBids](ctx, c, rafflePath(raffleID)+"/best", options)
}

// Bid returns one bid.
func (c *Client) Bid(ctx context.Context, raffleID, bidID int64, options ...ReadOption) (Bid, Reading, error) {
	return one[Bid](ctx, c, bidPath(raffleID, bidID), options)
}

// Orders of a BidFilter.
const (
	Newest  = "newest"
	Highest = "highest" // the earlier bid first among equals
)

// BidFilter chooses bids of a raffle. The zero value means the newest ones of all sizes.
type BidFilter struct {
	// Size is in mm; 0 means all sizes.
	Size int
	// Order is Newest or Highest, which needs a Size.
	Order string
	// MinPrice and MaxPrice bound the price, in the order Highest. 0 is no bound.
	MinPrice, MaxPrice int64
	// Limit bounds a page: 50 if it is 0; at most 2,000, without a size 200.
	Limit int
	// Cursor is the Next of the page before.
	Cursor string
}

func (f BidFilter) query(cursor string) url.Values {
	return parameters("size", number(f.Size), "order", f.Order, "min_price", number(f.MinPrice), "max_price", number(f.MaxPrice),
		"limit", number(f.Limit), "cursor", cursor)
}

// Bids returns a page of the bids of a raffle.
func (c *Client) Bids(ctx context.Context, raffleID int64, f BidFilter, options ...ReadOption) (Page[Bid], error) {
	return list[Bid](ctx, c, rafflePath(raffleID)+"/bids", f.query(f.Cursor), options)
}

// EachBid returns the bids of all pages: while bids come in, those of the first page's position once each, unless they are
// cancelled, and later ones at most once.
func (c *Client) EachBid(ctx context.Context, raffleID int64, f BidFilter, options ...ReadOption) iter.Seq2[Bid, error] {
	return each[Bid](ctx, c, rafflePath(raffleID)+"/bids", f.Cursor, f.query, options)
}

// SizeFilter chooses the newest bids of a size over all raffles.
type SizeFilter struct {
	Size   int // in mm
	Limit  int // bounds a page: 50 if it is 0, at most 2,000
	Cursor string
}

func (f SizeFilter) query(cursor string) url.Values {
	return parameters("size", number(f.Size), "limit", number(f.Limit), "cursor", cursor)
}

// SizeBids returns a page of the newest bids of a size over all raffles.
func (c *Client) SizeBids(ctx context.Context, f SizeFilter, options ...ReadOption) (Page[Bid], error) {
	return list[Bid](ctx, c, "/v1/bids", f.query(f.Cursor), options)
}

// ProductFilter chooses products. The zero value means all.
type ProductFilter struct {
	// Text is a part of the name or model.
	Text     string
	Category string
	Limit    int // bounds a page: 50 if it is 0, at most 1,000
	Cursor   string
}

func (f ProductFilter) query(cursor string) url.Values {
	return parameters("q", f.Text, "category", f.Category, "limit", number(f.Limit), "cursor", cursor)
}

// Products returns a page of products, newest first.
func (c *Client) Products(ctx context.Context, f ProductFilter, options ...ReadOption) (Page[Product], error) {
	return list[Product](ctx, c, "/v1/products", f.query(f.Cursor), options)
}

// EachProduct returns the products of all pages.
func (c *Client) EachProduct(ctx context.Context, f ProductFilter, options ...ReadOption) iter.Seq2[Product, error] {
	return each[Product](ctx, c, "/v1/products", f.Cursor, f.query, options)
}

// Product returns one product.
func (c *Client) Product(ctx context.Context, productID int64, options ...ReadOption) (Product, Reading, error) {
	return one[Product](ctx, c, productPath(productID), options)
}

// MyBidFilter chooses bids of the session's user. The zero value means all.
type MyBidFilter struct {
	Raffle int64 // its id; 0: of all raffles
	Limit  int   // bounds a page: 50 if it is 0, at most 2,000
	Cursor string
}

func (f MyBidFilter) query(cursor string) url.Values {
	return parameters("raffle", number(f.Raffle), "limit", number(f.Limit), "cursor", cursor)
}

// MyBids returns a page of the user's bids with their standing, newest first.
func (s *Session) MyBids(ctx context.Context, f MyBidFilter, options ...ReadOption) (Page[MyBid], error) {
	return list[MyBid](ctx, &s.Client, "/v1/me/bids", f.query(f.Cursor), append([]ReadOption{withToken}, options...))
}

// EachMyBid returns the user's bids of all pages.
func (s *Session) EachMyBid(ctx context.Context, f MyBidFilter, options ...ReadOption) iter.Seq2[MyBid, error] {
	return each[MyBid](ctx, &s.Client, "/v1/me/bids", f.Cursor, f.query, append([]ReadOption{withToken}, options...))
}

func withToken(q *call) { q.authorized = true }

func rafflePath(id int64) string        { return fmt.Sprintf("/v1/raffles/%d", id) }
func bidPath(raffleID, id int64) string { return fmt.Sprintf("/v1/raffles/%d/bids/%d", raffleID, id) }
func productPath(id int64) string       { return fmt.Sprintf("/v1/products/%d", id) }

// number is the text of a number; 0 has none.
func number[N int | int64](n N) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

// parameters are pairs of a name and a value. Names without a value are left out.
func parameters(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

// get reads a target into a value.
func (c *Client) get(ctx context.Context, target string, options []ReadOption, into any) (Reading, error) {
	q := call{method: http.MethodGet, target: target, repeatable: true, read: true}
	for _, o := range options {
		o(&q)
	}
	a, err := c.do(ctx, q, into)
	return readingOf(a.Header), err
}

func readingOf(h http.Header) Reading {
	ms, _ := strconv.ParseInt(h.Get("Read-Lag-Ms"), 10, 64) // 0 if the answer does not say
	return Reading{h.Get("Read-Path"), Position(h.Get("Read-LSN")), time.Duration(ms) * time.Millisecond, h.Get("X-Request-Id")}
}

func one[T any](ctx context.Context, c *Client, target string, options []ReadOption) (item T, r Reading, err error) {
	r, err = c.get(ctx, target, options, &item)
	return item, r, err
}

// list reads a page of any list. Each list has its own name for its items.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, options []ReadOption) (Page[T], error) {
	var body struct {
		Raffles  []T    `json:"raffles"`
		Bids     []T    `json:"bids"`
		Products []T    `json:"products"`
		Next     string `json:"next_cursor"`
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	r, err := c.get(ctx, path, options, &body)
	items := body.Bids
	for _, other := range [][]T{body.Raffles, body.Products} {
		if other != nil {
			items = other
		}
	}
	return Page[T]{items, body.Next, r}, err
}

// each follows the pages of a list from a cursor on. It ends with the first error.
func each[T any](ctx context.Context, c *Client, path, cursor string, query func(cursor string) url.Values, options []ReadOption) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for at := cursor; ; {
			page, err := list[T](ctx, c, path, query(at), options)
			if err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			if at = page.Next; at == "" {
				return
			}
		}
	}
}
