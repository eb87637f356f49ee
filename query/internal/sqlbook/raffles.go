package sqlbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// Raffles reads the index by end.
func (p *Postgres) Raffles(ctx context.Context, q bidbook.RafflesQuery, minLSN lsn.Position) (bidbook.RafflePage, bidbook.Position, error) {
	after := from(q.After)
	var found []readmodel.Raffle
	at, err := p.readAlone(ctx, minLSN, func(db *readdb.Queries) error {
		params := readdb.RafflesLatestEndParams{BeforeEndsAt: time.UnixMicro(after.At),
			BeforeID: after.ID, Status: q.Status.String(), RowLimit: int32(q.Limit) + 1}
		rows, err := readRaffles(ctx, db, p.path, params)
		found = make([]readmodel.Raffle, len(rows))
		for i, r := range rows {
			found[i] = raffle(r)
		}
		return err
	})
	raffles, more := bidbook.Cut(found, q.Limit)
	return bidbook.RafflePage{Raffles: raffles, More: more}, at, err
}

// Entry reads one row by its primary key.
func (p *Postgres) Entry(ctx context.Context, id int64, minLSN lsn.Position) (readmodel.Raffle, bidbook.Position, error) {
	var row readdb.Raffle
	missing := false
	at, err := p.read(ctx, minLSN, func(db *readdb.Queries) (err error) {
		row, err = db.RaffleEntry(ctx, id)
		if missing = errors.Is(err, pgx.ErrNoRows); missing {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return readmodel.Raffle{}, at, err
	case missing:
		return readmodel.Raffle{}, at, bidbook.ErrNotFound
	}
	return raffle(row), at, nil
}

func readRaffles(ctx context.Context, db *readdb.Queries, path bidbook.Path, params readdb.RafflesLatestEndParams) ([]readdb.Raffle, error) {
	if path == bidbook.PathScan {
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
func (p *Postgres) Raffle(ctx context.Context, id int64, minLSN lsn.Position) (bidbook.RaffleDetail, bidbook.Position, error) {
	var rows []readdb.RaffleDetailRow
	at, err := p.readAlone(ctx, minLSN, func(db *readdb.Queries) (err error) {
		rows, err = db.RaffleDetail(ctx, id)
		return err
	})
	switch {
	case pg.HasCode(err, pg.QueryCanceled):
		return bidbook.RaffleDetail{}, at, fmt.Errorf("%w: %w", bidbook.ErrTooMuch, err)
	case err != nil:
		return bidbook.RaffleDetail{}, at, err
	case len(rows) == 0:
		return bidbook.RaffleDetail{}, at, bidbook.ErrNotFound
	}
	d := bidbook.RaffleDetail{Raffle: raffle(rows[0].Raffle), Product: product(rows[0].Product)}
	for _, r := range rows {
		if r.Size > 0 {
			d.Sizes = append(d.Sizes, bidbook.SizeSummary{Size: r.Size, Count: r.Count, Highest: r.Highest})
		}
	}
	return d, at, nil
}

func product(p readdb.Product) readmodel.Product {
	return readmodel.Product{ID: p.ID, Name: p.Name, Model: p.Model, Color: p.Color, Category: p.Category,
		ImageURL: p.ImageUrl, ReleasePrice: p.ReleasePrice, ReleaseDate: p.ReleaseDate.Time.Format(time.DateOnly)}
}
