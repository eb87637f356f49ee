package test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// bidDocument is a bid in the form in which query answers it.
type bidDocument struct {
	ID        int64  `json:"id"`
	RaffleID  int64  `json:"raffle_id"`
	UserID    int64  `json:"user_id"`
	Size      int16  `json:"size"`
	Price     int64  `json:"price"`
	Quantity  int64  `json:"quantity"`
	CreatedAt string `json:"created_at"`
}

// raffleDocument is a raffle in the form in which query answers it in a list.
type raffleDocument struct {
	ID           int64   `json:"id"`
	ProductID    int64   `json:"product_id"`
	SellerID     int64   `json:"seller_id"`
	StartsAt     string  `json:"starts_at"`
	EndsAt       string  `json:"ends_at"`
	ClosedAt     *string `json:"closed_at"`
	ClosingPrice *int64  `json:"closing_price"`
}

// productDocument is a product in the form in which query answers it within a raffle.
type productDocument struct {
	ID           int64  `json:"id"`
	Name         string `json:"name"`
	Model        string `json:"model"`
	Color        string `json:"color"`
	Category     string `json:"category"`
	ImageURL     string `json:"image_url"`
	ReleasePrice int64  `json:"release_price"`
	ReleaseDate  string `json:"release_date"`
}

// bid is a bid and its text.
type bid struct {
	bidDocument
	text string
}

func newBid(d bidDocument) bid { return bid{d, string(encode(d))} }

// list is a list of bids: of a raffle and size, or of a size over all raffles if raffle is 0.
type list struct {
	raffle int64
	size   int16
}

// tables is the content of the primary at one position.
type tables struct {
	bids     map[int64]bid
	lists    map[list]*[2][]int64 // ids of bids in the orders newest and highest
	raffles  map[int64]raffleDocument
	products map[int64]productDocument
	versions map[list]int // how often each list has changed; list{} stands for the raffles and products
}

func newTables() *tables {
	return &tables{map[int64]bid{}, map[list]*[2][]int64{}, map[int64]raffleDocument{}, map[int64]productDocument{}, map[list]int{}}
}

func (t *tables) clone() *tables {
	c := &tables{maps.Clone(t.bids), map[list]*[2][]int64{}, maps.Clone(t.raffles), maps.Clone(t.products), map[list]int{}}
	for l, ids := range t.lists {
		c.lists[l] = &[2][]int64{slices.Clone(ids[0]), slices.Clone(ids[1])}
	}
	return c
}

// part returns a copy of what a read asks for.
func (t *tables) part(b body) *tables {
	c := newTables()
	c.raffles, c.products = maps.Clone(t.raffles), maps.Clone(t.products)
	for l, ids := range t.lists {
		if l.size == 0 || l != b.list && (b.detail == 0 || l.raffle != b.detail) {
			continue
		}
		c.lists[l] = &[2][]int64{slices.Clone(ids[0]), slices.Clone(ids[1])}
		for _, id := range ids[0] {
			c.bids[id] = t.bids[id]
		}
	}
	return c
}

// of returns the lists that have the bid, and that of its raffle.
func (b *bidDocument) of() [3]list {
	return [3]list{{b.RaffleID, b.Size}, {0, b.Size}, {b.RaffleID, 0}}
}

func (t *tables) add(b bid) {
	t.bids[b.ID] = b
	for _, l := range b.of() {
		t.versions[l]++
		if t.lists[l] == nil {
			t.lists[l] = &[2][]int64{}
		}
		for order := range t.lists[l] {
			ids := &t.lists[l][order]
			*ids = slices.Insert(*ids, t.place(*ids, order, b), b.ID)
		}
	}
}

func (t *tables) remove(id int64) {
	b, ok := t.bids[id]
	if !ok {
		return
	}
	for _, l := range b.of() {
		t.versions[l]++
		if t.lists[l] == nil {
			continue // of a part
		}
		for order := range t.lists[l] {
			ids := &t.lists[l][order]
			if at := t.place(*ids, order, b); at < len(*ids) && (*ids)[at] == id {
				*ids = slices.Delete(*ids, at, at+1)
			}
		}
	}
	delete(t.bids, id)
}

// place returns the index that a bid has in an order, or would have.
func (t *tables) place(ids []int64, order int, b bid) int {
	at, _ := slices.BinarySearchFunc(ids, b, func(id int64, b bid) int {
		x := t.bids[id]
		later := cmp.Or(cmp.Compare(b.CreatedAt, x.CreatedAt), cmp.Compare(b.ID, x.ID))
		if order == 1 {
			return cmp.Or(cmp.Compare(b.Price, x.Price), -later)
		}
		return later
	})
	return at
}

func (t *tables) truncate() {
	clear(t.bids)
	for l := range t.lists {
		t.versions[l]++
	}
	clear(t.lists)
}

func (t *tables) equal(other *tables) error {
	for id, r := range t.raffles {
		if o := other.raffles[id]; !bytes.Equal(encode(r), encode(o)) {
			return fmt.Errorf("raffle %+v is %+v", r, o)
		}
	}
	for id, b := range t.bids {
		if o := other.bids[id]; b.bidDocument != o.bidDocument {
			return fmt.Errorf("bid %+v is %+v", b.bidDocument, o.bidDocument)
		}
	}
	if !maps.Equal(t.products, other.products) || len(t.bids) != len(other.bids) || len(t.raffles) != len(other.raffles) {
		return fmt.Errorf("%d bids, %d raffles, %d products, not %d, %d, %d", len(t.bids), len(t.raffles), len(t.products),
			len(other.bids), len(other.raffles), len(other.products))
	}
	return nil
}

// readTables reads the present content by SQL.
func readTables(ctx context.Context, db *pgx.Conn) (*tables, error) {
	t := newTables()
	rows, err := db.Query(ctx, "SELECT id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price FROM raffles")
	if err != nil {
		return nil, err
	}
	var r raffleDocument
	var starts, ends time.Time
	var closed *time.Time
	_, err = pgx.ForEachRow(rows, []any{&r.ID, &r.ProductID, &r.SellerID, &starts, &ends, &closed, &r.ClosingPrice}, func() error {
		row := r
		row.StartsAt, row.EndsAt, row.ClosedAt = document(starts), document(ends), nil
		if closed != nil {
			text := document(*closed)
			row.ClosedAt = &text
		}
		if r.ClosingPrice != nil {
			price := *r.ClosingPrice
			row.ClosingPrice = &price
		}
		t.raffles[r.ID] = row
		return nil
	})
	return t, errors.Join(err, t.readBids(ctx, db), t.readProducts(ctx, db))
}

func (t *tables) readBids(ctx context.Context, db *pgx.Conn) error {
	rows, err := db.Query(ctx, "SELECT raffle_id, id, user_id, size, price, quantity, created_at FROM bids")
	if err != nil {
		return err
	}
	var b bidDocument
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&b.RaffleID, &b.ID, &b.UserID, &b.Size, &b.Price, &b.Quantity, &at}, func() error {
		b.CreatedAt = document(at)
		t.add(newBid(b))
		return nil
	})
	return err
}

func (t *tables) readProducts(ctx context.Context, db *pgx.Conn) error {
	rows, err := db.Query(ctx, "SELECT id, name, model, color, category, image_url, release_price, release_date::text FROM products")
	if err != nil {
		return err
	}
	var p productDocument
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &p.Name, &p.Model, &p.Color, &p.Category, &p.ImageURL, &p.ReleasePrice, &p.ReleaseDate}, func() error {
		t.products[p.ID] = p
		return nil
	})
	return err
}

func document(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// happened is an event of a raffle: a bid, a cancellation, or the close.
type happened struct {
	raffle   int64
	kind     readmodel.EventKind
	bid      bidDocument
	closedAt string
	price    int64
}
