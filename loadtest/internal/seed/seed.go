// Package seed loads a data set into an empty database, as the role that owns the tables.
//
// Everything happens in one transaction, so a database holds the whole data set or none of it. Indexes and
// foreign keys of the bids are dropped for the load and made again from their definitions in the catalog,
// because building an index once costs far less than growing it row by row. Until the end the tables are
// locked, so services that are running wait or time out.
package seed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
)

// ErrNotEmpty means that the database already holds rows; nothing was changed.
var ErrNotEmpty = errors.New("the database is not empty")

// tables are loaded in this order, so that each comes after the tables that its foreign keys name.
var tables = []string{"users", "products", "raffles", "bids"}

// Progress is told how far a step is. A total of 0 means that the step can't be measured. The last
// call of a step has done == total, or done == 1 if it can't be measured.
type Progress func(step string, done, total int64)

// Summary says what a load did.
type Summary struct {
	Rows map[string]int64 // by table
	// Copy is the time that the rows took. Elapsed is the time of the whole load up to the last ANALYZE.
	Copy, Elapsed time.Duration
	// BytesPerBid is the size of the table with its indexes over the number of bids; 0 without bids.
	BytesPerBid float64
}

// TotalRows is the number of rows in all tables.
func (s Summary) TotalRows() (n int64) {
	for _, rows := range s.Rows {
		n += rows
	}
	return n
}

type loader struct {
	set      *dataset.Set
	at       time.Time
	progress Progress
	summary  Summary
}

// Load fills the database at url with set, whose offsets count from at. It returns ErrNotEmpty if
// there is any row already. A second load at the same time waits for the first, then finds its rows.
func Load(ctx context.Context, url string, set *dataset.Set, at time.Time, progress Progress) (s Summary, err error) {
	start := time.Now()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return s, fmt.Errorf("seed: %w", err)
	}
	// The end of the connection ends the session, so that everything uncommitted is rolled back.
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()

	l := &loader{set: set, at: at.UTC().Truncate(time.Microsecond), progress: progress}
	l.summary.Rows = make(map[string]int64)
	if err := l.reclaim(ctx, conn); err != nil {
		return s, fmt.Errorf("seed: %w", err)
	}
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return l.load(ctx, tx) }); err != nil {
		return s, fmt.Errorf("seed: %w", err)
	}
	if err := l.finish(ctx, conn); err != nil {
		return s, fmt.Errorf("seed: the data is loaded, but: %w", err)
	}
	l.summary.Elapsed = time.Since(start)
	return l.summary, nil
}

// reclaim frees the space of a load that did not finish: its rows were rolled back, but they still take space.
func (l *loader) reclaim(ctx context.Context, conn *pgx.Conn) error {
	for _, table := range tables {
		var hollow bool
		err := conn.QueryRow(ctx, fmt.Sprintf(
			"SELECT pg_relation_size('%[1]s') > 0 AND NOT EXISTS (SELECT FROM %[1]s)", table)).Scan(&hollow)
		if err != nil {
			return err
		}
		if hollow {
			if err := l.step(ctx, conn, "reclaim space of "+table, "VACUUM "+table); err != nil {
				return err
			}
		}
	}
	return nil
}

// session is a connection or a transaction.
type session interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// step executes a statement that takes long.
func (l *loader) step(ctx context.Context, s session, step, sql string) error {
	l.progress(step, 0, 0)
	if _, err := s.Exec(ctx, sql); err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	l.progress(step, 1, 0)
	return nil
}

func (l *loader) load(ctx context.Context, tx pgx.Tx) error {
	if err := lockEmpty(ctx, tx); err != nil {
		return err
	}
	// Sorting 12 million rows for an index spills less with more memory; 256 MB suits a small machine.
	if _, err := tx.Exec(ctx, "SET LOCAL maintenance_work_mem = '256MB'; SET LOCAL statement_timeout = 0"); err != nil {
		return err
	}
	parts, err := dropParts(ctx, tx, "bids")
	if err != nil {
		return err
	}
	start := time.Now()
	if err := l.copyAll(ctx, tx); err != nil {
		return err
	}
	l.summary.Copy = time.Since(start)
	if err := l.makeParts(ctx, tx, parts); err != nil {
		return err
	}
	return l.setSequences(ctx, tx)
}

// lockEmpty keeps every writer out and makes sure that there is nothing yet.
func lockEmpty(ctx context.Context, tx pgx.Tx) error {
	all := append([]string{"cancelled_bids"}, tables...)
	if _, err := tx.Exec(ctx, "LOCK TABLE "+strings.Join(all, ", ")+" IN SHARE ROW EXCLUSIVE MODE"); err != nil {
		return err
	}
	var filled []string
	for _, table := range all {
		var exists bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")").Scan(&exists); err != nil {
			return err
		}
		if exists {
			filled = append(filled, table)
		}
	}
	if len(filled) > 0 {
		return fmt.Errorf("%w: there are rows in %s", ErrNotEmpty, strings.Join(filled, ", "))
	}
	return nil
}

// setSequences moves the sequences of the ids, which count from 1, past the loaded ids.
func (l *loader) setSequences(ctx context.Context, tx pgx.Tx) error {
	for _, table := range tables {
		if l.summary.Rows[table] == 0 {
			continue
		}
		_, err := tx.Exec(ctx, "SELECT setval(pg_get_serial_sequence($1, 'id'), $2)", table, l.summary.Rows[table])
		if err != nil {
			return fmt.Errorf("sequence of %s: %w", table, err)
		}
	}
	return nil
}

// finish makes the visibility map, for index-only scans, and the planner's statistics.
func (l *loader) finish(ctx context.Context, conn *pgx.Conn) error {
	for _, table := range tables {
		if err := l.step(ctx, conn, "vacuum and analyze "+table, "VACUUM (ANALYZE) "+table); err != nil {
			return err
		}
	}
	bids := l.summary.Rows["bids"]
	if bids == 0 {
		return nil
	}
	var size int64
	if err := conn.QueryRow(ctx, "SELECT pg_total_relation_size('bids')").Scan(&size); err != nil {
		return err
	}
	l.summary.BytesPerBid = float64(size) / float64(bids)
	return nil
}
