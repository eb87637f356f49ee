package bidbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// Raffles reads the index by end.
func (p *Postgres) Raffles(ctx context.Context, q RafflesQuery, min lsn.Position) (RafflePage, Position, error) {
	after := from(q.After)
	var found []readmodel.Raffle
	at, err := p.read(ctx, min, func(db *readdb.Queries) error {
		params := readdb.RafflesLatestEndParams{BeforeEndsAt: time.UnixMicro(after.At),
			BeforeID: after.ID, Status: q.Status.String(), RowLimit: int32(q.Limit) + 1}
		rows, err := readRaffles(ctx, db, p.path, params)
		found = make([]readmodel.Raffle, len(rows))
		for i, r := range rows {
			found[i] = raffle(r)
		}
		return err
	})
	raffles, more := cut(found, q.Limit)
	return RafflePage{Raffles: raffles, More: more}, at, err
}

// Exists probes the primary key.
func (p *Postgres) Exists(ctx context.Context, id int64, min lsn.Position) (Position, error) {
	var known bool
	at, err := p.read(ctx, min, func(db *readdb.Queries) (err error) {
		known, err = db.RaffleExists(ctx, id)
		return err
	})
	if err == nil && !known {
		err = ErrNotFound
	}
	return at, err
}

func readRaffles(ctx context.Context, db *readdb.Queries, path Path, params readdb.RafflesLatestEndParams) ([]readdb.Raffle, error) {
	if path == PathScan {
		return db.ScanRaffles(ctx, readdb.ScanRafflesParams(params))
	}
	return db.RafflesLatestEnd(ctx, params)
}

func raffle(r readdb.Raffle) readmodel.Raffle {
	v := readmodel.Raffle{ID: r.ID, ProductID: r.ProductID, SellerID: r.SellerID,
		StartsAt: r.StartsAt.UnixMicro(), EndsAt: r.EndsAt.UnixMicro()}
	if r.ClosedAt != nil {
		v.ClosedAt = r.ClosedAt.UnixMicro()
	}
	if r.ClosingPrice != nil {
		v.ClosingPrice = *r.ClosingPrice
	}
	return v
}

// Raffle reads the raffle with its product and counts its bids.
func (p *Postgres) Raffle(ctx context.Context, id int64, min lsn.Position) (RaffleDetail, Position, error) {
	var d RaffleDetail
	found := true
	at, err := p.read(ctx, min, func(db *readdb.Queries) error {
		row, err := db.Raffle(ctx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			found = false
			return nil
		}
		d.Raffle, d.Product = raffle(row.Raffle), product(row.Product)
		return err
	}, func(db *readdb.Queries) error {
		rows, err := db.RaffleSizes(ctx, id)
		d.Sizes = make([]SizeSummary, len(rows))
		for i, r := range rows {
			d.Sizes[i] = SizeSummary(r)
		}
		return err
	})
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "57014": // query_canceled
		err = fmt.Errorf("%w: %w", errTooMuch, err)
	case err == nil && !found:
		err = ErrNotFound
	}
	return d, at, err
}

func product(p readdb.Product) readmodel.Product {
	return readmodel.Product{ID: p.ID, Name: p.Name, Model: p.Model, Color: p.Color, Category: p.Category,
		ImageURL: p.ImageUrl, ReleasePrice: p.ReleasePrice, ReleaseDate: p.ReleaseDate.Time.Format(time.DateOnly)}
}
