package seed

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
)

// reportEvery is how many rows pass between two calls of Progress.
const reportEvery = 10_000

// copyAll sends the rows of every table, in the order of tables.
func (l *loader) copyAll(ctx context.Context, tx pgx.Tx) error {
	scale := l.set.Scale()
	err := copyTable(ctx, l, tx, "users", []string{"id", "login", "password_hash", "role"}, int64(scale.Users)+1, l.set.Users,
		func(u dataset.User) []any { return []any{u.ID, u.Login, u.PasswordHash, u.Role} })
	if err != nil {
		return err
	}
	err = copyTable(ctx, l, tx, "products", []string{"id", "name", "model", "color", "category", "image_url", "release_price", "release_date"},
		int64(scale.Products), slices.Values(l.set.Products()), func(p dataset.Product) []any {
			return []any{p.ID, p.Name, p.Model, p.Color, p.Category, p.ImageURL, p.ReleasePrice, l.at.Add(p.Released)}
		})
	if err != nil {
		return err
	}
	err = copyTable(ctx, l, tx, "raffles", []string{"id", "product_id", "seller_id", "starts_at", "ends_at", "closed_at", "closing_price"},
		int64(scale.Raffles), slices.Values(l.set.Raffles()), l.raffle)
	if err != nil {
		return err
	}
	return l.copyBids(ctx, tx, "bids")
}

func (l *loader) raffle(r dataset.Raffle) []any {
	row := []any{r.ID, r.ProductID, r.SellerID, l.at.Add(r.Starts), l.at.Add(r.Ends), nil, nil}
	if r.Closed {
		row[5] = l.at.Add(r.Ends)
	}
	if r.ClosingPrice > 0 {
		row[6] = r.ClosingPrice
	}
	return row
}

func (l *loader) copyBids(ctx context.Context, tx pgx.Tx, table string) error {
	return copyTable(ctx, l, tx, table, []string{"raffle_id", "id", "user_id", "size", "price", "quantity", "created_at"},
		l.set.Scale().Bids, l.set.Bids(), func(b dataset.Bid) []any {
			return []any{b.RaffleID, b.ID, b.UserID, b.Size, b.Price, b.Quantity, l.at.Add(b.CreatedAt)}
		})
}

// copyTable sends rows to the columns of a table.
func copyTable[T any](ctx context.Context, l *loader, tx pgx.Tx, table string, columns []string, total int64,
	rows iter.Seq[T], values func(T) []any) error {
	next, stop := iter.Pull(rows)
	defer stop()
	l.progress(table, 0, total)
	var sent int64
	arrived, err := tx.CopyFrom(ctx, pgx.Identifier{table}, columns, pgx.CopyFromFunc(func() ([]any, error) {
		row, more := next()
		if !more {
			return nil, nil
		}
		if sent++; sent%reportEvery == 0 && sent < total { // the end is reported once the rows have arrived
			l.progress(table, sent, total)
		}
		return values(row), nil
	}))
	if err != nil {
		return fmt.Errorf("copy %s: %w", table, err)
	}
	if arrived != total {
		return fmt.Errorf("copy %s: %d of %d rows arrived", table, arrived, total)
	}
	l.summary.Rows[table] = total
	l.progress(table, total, total)
	return nil
}
