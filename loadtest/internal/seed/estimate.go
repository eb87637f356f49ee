package seed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
)

// Estimate is what bids cost, measured on a sample.
type Estimate struct {
	Sample int64
	// Bytes are those of the table and of each index or key, in the order of their making.
	Bytes []PartBytes
	// WAL is how much was written to the write-ahead log, in bytes.
	WAL int64
	// Copy is the time of the rows, Build that of the indexes.
	Copy, Build time.Duration
}

// PartBytes is the size of the table ("table") or of an index.
type PartBytes struct {
	Name  string
	Bytes int64
}

// TotalBytes is the sum of table and indexes.
func (e Estimate) TotalBytes() (n int64) {
	for _, p := range e.Bytes {
		n += p.Bytes
	}
	return n
}

// sample is the name of the table that an estimate makes and never commits.
const sample = "bids_sample"

// Measure loads the bids of set into a copy of the table, in a transaction that is rolled back. Nothing of it
// stays but its WAL, and nobody sees it, so the database may hold anything.
func Measure(ctx context.Context, url string, set *dataset.Set, at time.Time, progress Progress) (e Estimate, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return e, fmt.Errorf("seed: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	tx, err := conn.Begin(ctx)
	if err != nil {
		return e, fmt.Errorf("seed: %w", err)
	}
	defer func() {
		if rollbackErr := tx.Rollback(context.WithoutCancel(ctx)); err == nil {
			err = rollbackErr
		}
	}()
	l := &loader{set: set, at: at.UTC().Truncate(time.Microsecond), progress: progress}
	l.summary.Rows = make(map[string]int64)
	if err := l.measure(ctx, tx, &e); err != nil {
		return e, fmt.Errorf("seed: sample: %w", err)
	}
	return e, nil
}

func (l *loader) measure(ctx context.Context, tx pgx.Tx, e *Estimate) error {
	const position = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
	var before, after int64
	_, err := tx.Exec(ctx, "CREATE TABLE "+sample+" (LIKE bids INCLUDING ALL); SET LOCAL maintenance_work_mem = '256MB'; SET LOCAL statement_timeout = 0")
	if err != nil {
		return err
	}
	parts, err := dropParts(ctx, tx, sample)
	if err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, position).Scan(&before); err != nil {
		return err
	}
	e.Sample = l.set.Scale().Bids
	start := time.Now()
	if err := l.copyBids(ctx, tx, sample); err != nil {
		return err
	}
	e.Copy = time.Since(start)
	if err := l.makeParts(ctx, tx, parts); err != nil {
		return err
	}
	e.Build = time.Since(start) - e.Copy
	if err := tx.QueryRow(ctx, position).Scan(&after); err != nil {
		return err
	}
	e.WAL = after - before
	rows, err := tx.Query(ctx, `SELECT 'table', pg_table_size($1::text::regclass) UNION ALL
		SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = $1::text::regclass`, sample)
	if err != nil {
		return err
	}
	e.Bytes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[PartBytes])
	return err
}
