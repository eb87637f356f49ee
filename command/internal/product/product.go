// Package product adds and changes products, for admins.
package product

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/idempotency"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/writedb"
)

// Product is what raffles sell. ReleasePrice is in KRW, ReleaseDate is YYYY-MM-DD.
type Product struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	Model        string `json:"model"`
	Color        string `json:"color"`
	Category     string `json:"category"`
	ImageURL     string `json:"image_url"`
	ReleasePrice int32  `json:"release_price"`
	ReleaseDate  string `json:"release_date"`
}

// Fields are the values of a product. A nil field is missing in a new product, and stays in one that is changed. Their JSON
// tells whether two requests are the same.
type Fields struct {
	Name         *string `json:"name"`
	Model        *string `json:"model"`
	Color        *string `json:"color"`
	Category     *string `json:"category"`
	ImageURL     *string `json:"image_url"`
	ReleasePrice *int32  `json:"release_price"`
	ReleaseDate  *string `json:"release_date"`
}

// Added is a product that was added, as it was then.
type Added struct {
	Product Product
	// Replayed: an earlier request with the same key and the same values added it.
	Replayed bool
	// LSN is a position at or past the commit.
	LSN string
}

const (
	maxText     = 200  // characters of a name, model, color or category
	maxImageURL = 2000 // bytes
)

// ErrUnknown means that there is no such product.
var ErrUnknown = errors.New("unknown product")

// Flaw is a field and the rule that it breaks.
type Flaw struct{ Field, Rule string }

// Check returns what is wrong with the fields. If all is set, no field may be missing.
func (f Fields) Check(all bool) (flaws []Flaw) {
	check := func(name string, missing bool, right func() bool, rule string) {
		if missing && all || !missing && !right() {
			flaws = append(flaws, Flaw{name, rule})
		}
	}
	for _, text := range []struct {
		name  string
		value *string
	}{{"name", f.Name}, {"model", f.Model}, {"color", f.Color}, {"category", f.Category}} {
		check(text.name, text.value == nil, func() bool { return isText(*text.value, maxText) }, "must have 1 to 200 printable characters")
	}
	check("image_url", f.ImageURL == nil, func() bool { return isURI(*f.ImageURL) }, "must be a path or an http or https URL of at most 2000 characters")
	check("release_price", f.ReleasePrice == nil, func() bool { return *f.ReleasePrice > 0 }, "must be a whole number from 1 to 2147483647")
	check("release_date", f.ReleaseDate == nil, func() bool { return isDate(*f.ReleaseDate) }, "must be a date such as 2026-11-24, of 1970 or later")
	return flaws
}

// isText says whether a text has something to see, and neither control characters nor spaces at its ends.
func isText(s string, most int) bool {
	if n := utf8.RuneCountInString(s); n < 1 || n > most {
		return false
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	if first == ' ' || last == ' ' {
		return false
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return false
		}
	}
	return true
}

// isURI says whether a text is a path, or a URL that a browser loads a picture from.
func isURI(s string) bool {
	u, err := url.Parse(s)
	if err != nil || s == "" || len(s) > maxImageURL || strings.ContainsAny(s, " \"<>") || !isText(s, maxImageURL) {
		return false
	}
	if u.Scheme == "" {
		return strings.HasPrefix(s, "/")
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// isDate says whether a text is a day that the read model has room for.
func isDate(s string) bool {
	day, err := time.Parse(time.DateOnly, s)
	return err == nil && day.Year() >= 1970
}

// Store adds and changes products in the primary.
type Store struct{ conns *primary.Conns }

// lockWait is how long a change waits for another change of the same product.
const lockWait = 250 * time.Millisecond

// NewStore makes a store.
func NewStore(server *primary.Server) *Store {
	return &Store{conns: server.Conns("products", 1, lockWait)}
}

// Add adds a product, of which no field is missing, or returns the one that the same request of the user has added before. An
// empty key is none. Errors: idempotency.ErrReused, and ErrUnavailable (nothing was done) and ErrUnknownOutcome of package
// primary.
func (s *Store) Add(ctx context.Context, user int64, key string, f Fields) (Added, error) {
	a, err := s.add(ctx, user, key, f)
	if err != nil {
		return Added{}, fmt.Errorf("add a product: %w", err)
	}
	return a, nil
}

func (s *Store) add(ctx context.Context, user int64, text string, f Fields) (a Added, err error) {
	key, err := idempotency.Of("products", user, text, f)
	if err != nil {
		return a, err
	}
	var rows []writedb.AddProductRow
	var first idempotency.First
	a.LSN, err = s.transact(ctx, key.Once(primary.Step{SQL: writedb.AddProduct,
		Args: append(f.args(), key.Key, key.Scope), Read: primary.RowsInto(&rows, pgx.RowToStructByPos[writedb.AddProductRow])}, &first))
	switch {
	case err != nil:
	case len(rows) > 0:
		a.Product = product(rows[0])
	default:
		if a.Replayed, err = first.Into(key, &a.Product); err == nil && !a.Replayed {
			err = primary.ErrUnavailable // the first request was taken back by hand meanwhile
		}
	}
	return a, err
}

// Change changes the fields that are there, and returns the product with a position at or past the commit. Errors:
// ErrUnknown, and those of package primary. The same change may be repeated.
func (s *Store) Change(ctx context.Context, id int64, f Fields) (Product, string, error) {
	var rows []writedb.ChangeProductRow
	lsn, err := s.transact(ctx, []primary.Step{{SQL: writedb.ChangeProduct, Args: append(f.args(), id),
		Read: primary.RowsInto(&rows, pgx.RowToStructByPos[writedb.ChangeProductRow])}})
	if err == nil && len(rows) == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return Product{}, "", fmt.Errorf("change product %d: %w", id, err)
	}
	return product(rows[0]), lsn, nil
}

func (s *Store) transact(ctx context.Context, steps []primary.Step) (lsn string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), primary.RequestTime)
	defer cancel()
	return s.conns.Transact(ctx, steps...)
}

func (f Fields) args() []any {
	return []any{f.Name, f.Model, f.Color, f.Category, f.ImageURL, f.ReleasePrice, f.ReleaseDate}
}

func product[R writedb.AddProductRow | writedb.ChangeProductRow](row R) Product {
	r := writedb.AddProductRow(row)
	return Product{ID: r.ID, Name: r.Name, Model: r.Model, Color: r.Color, Category: r.Category, ImageURL: r.ImageUrl,
		ReleasePrice: r.ReleasePrice, ReleaseDate: r.ReleaseDate}
}
