package bidbook

import (
	"context"
	"fmt"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// ErrNoProduct says that there is no such product; it is an ErrNotFound.
var ErrNoProduct = fmt.Errorf("product: %w", ErrNotFound)

// Filter chooses products: Text is a part of the name or of the model, Category is the category. An empty one chooses
// all. Text is in lower case, and letters of ASCII match in either case. Other letters do not, because Go and
// PostgreSQL, in its locales, do not agree about their case (R5).
type Filter struct{ Text, Category string }

// Lower puts the letters of ASCII in lower case.
func Lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// ProductsQuery asks for up to Limit products, newest (highest id) first. Before is the id that the page continues
// after; 0 for the first page.
type ProductsQuery struct {
	Filter
	Before int64
	Limit  int
}

// ProductPage is a page of products; More says that there is a further one.
type ProductPage struct {
	Products []readmodel.Product
	More     bool
}

// SearchQuery asks for raffles whose product the filter chooses. Product and Highest say what else is wanted of each.
type SearchQuery struct {
	RafflesQuery
	Filter
	Product, Highest bool
}

// FoundRaffle is a raffle, with its product and the highest price that is bid on it (KRW; 0: there are no bids), if
// they were asked for.
type FoundRaffle struct {
	Raffle  readmodel.Raffle
	Product readmodel.Product
	Highest int32
}

// FoundPage is a page of raffles; More says that there is a further one.
type FoundPage struct {
	Found []FoundRaffle
	More  bool
}

// Catalog is what a path knows of products.
type Catalog interface {
	// Search lists raffles.
	Search(ctx context.Context, q SearchQuery, minLSN lsn.Position) (FoundPage, Position, error)
	// Products lists products.
	Products(ctx context.Context, q ProductsQuery, minLSN lsn.Position) (ProductPage, Position, error)
	// Product returns one product or ErrNoProduct.
	Product(ctx context.Context, id int64, minLSN lsn.Position) (readmodel.Product, Position, error)
}

// Search is as Bids.
func (c *Chain) Search(ctx context.Context, q SearchQuery, w Want) (FoundPage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (FoundPage, Position, error) {
		return r.Search(ctx, q, minLSN)
	})
}

// Products is as Bids.
func (c *Chain) Products(ctx context.Context, q ProductsQuery, w Want) (ProductPage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (ProductPage, Position, error) {
		return r.Products(ctx, q, minLSN)
	})
}

// Product is as Bids; the error for an unknown product is ErrNoProduct.
func (c *Chain) Product(ctx context.Context, id int64, w Want) (readmodel.Product, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (readmodel.Product, Position, error) {
		return r.Product(ctx, id, minLSN)
	})
}
