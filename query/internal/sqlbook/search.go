package sqlbook

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// Search reads the index by end, and the product of each raffle, in one statement.
func (p *Postgres) Search(ctx context.Context, q bidbook.SearchQuery, minLSN lsn.Position) (bidbook.FoundPage, bidbook.Position, error) {
	after := from(q.After)
	var found []bidbook.FoundRaffle
	at, err := p.readAlone(ctx, minLSN, func(db *readdb.Queries) error {
		rows, err := db.RafflesFound(ctx, readdb.RafflesFoundParams{Highest: q.Highest, BeforeEndsAt: time.UnixMicro(after.At),
			BeforeID: after.ID, Status: q.Status.String(), Text: q.Text, Category: q.Category, RowLimit: int32(q.Limit) + 1})
		found = make([]bidbook.FoundRaffle, len(rows))
		for i, r := range rows {
			found[i] = bidbook.FoundRaffle{Raffle: raffle(r.Raffle), Product: product(r.Product), Highest: r.Highest}
		}
		return err
	})
	page, more := bidbook.Cut(found, q.Limit)
	return bidbook.FoundPage{Found: page, More: more}, at, err
}

// Products reads the primary key downwards.
func (p *Postgres) Products(ctx context.Context, q bidbook.ProductsQuery, minLSN lsn.Position) (bidbook.ProductPage, bidbook.Position, error) {
	before := q.Before
	if before == 0 {
		before = math.MaxInt64
	}
	var found []readmodel.Product
	at, err := p.readAlone(ctx, minLSN, func(db *readdb.Queries) error {
		rows, err := db.ProductsNewest(ctx, readdb.ProductsNewestParams{BeforeID: before, Text: q.Text, Category: q.Category, RowLimit: int32(q.Limit) + 1})
		found = make([]readmodel.Product, len(rows))
		for i, r := range rows {
			found[i] = product(r)
		}
		return err
	})
	page, more := bidbook.Cut(found, q.Limit)
	return bidbook.ProductPage{Products: page, More: more}, at, err
}

// Product reads one row by its primary key.
func (p *Postgres) Product(ctx context.Context, id int64, minLSN lsn.Position) (readmodel.Product, bidbook.Position, error) {
	var row readdb.Product
	missing := false
	at, err := p.read(ctx, minLSN, func(db *readdb.Queries) (err error) {
		row, err = db.Product(ctx, id)
		if missing = errors.Is(err, pgx.ErrNoRows); missing {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return readmodel.Product{}, at, err
	case missing:
		return readmodel.Product{}, at, bidbook.ErrNoProduct
	}
	return product(row), at, nil
}
