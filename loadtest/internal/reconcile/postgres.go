package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/report"
)

// Progress is told how far a comparison is; a total of 0 is not known.
type Progress func(step string, done, total int64)

const progressEvery = 100_000

// LastID returns the highest id of a bid, or 0: one probe of the primary key per raffle, since no index
// leads with the id.
func LastID(ctx context.Context, url string) (id int64, err error) {
	err = OnPrimary(ctx, url, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT coalesce(max(m.id), 0) FROM raffles r
			CROSS JOIN LATERAL (SELECT max(b.id) AS id FROM bids b WHERE b.raffle_id = r.id) m`).Scan(&id)
	})
	return id, err
}

// connectTime bounds the attempt to reach one of the URL's hosts.
const connectTime = 5 * time.Second

// OnPrimary uses a connection to the node that takes writes, of those that the URL names.
func OnPrimary(ctx context.Context, url string, do func(*pgx.Conn) error) error {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	config.ConnectTimeout = connectTime
	config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	pg.Refresh(&config.Config)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTime)
	defer cancel()
	return errors.Join(do(conn), conn.Close(closing))
}

// Postgres compares the ledger with every row of the time of the run, at the primary. It also returns the
// position up to which the rows were read. A copy that has reached this position must hold them too.
func (l *Ledger) Postgres(ctx context.Context, url string, progress Progress) (r report.Reconciliation, lsn string) {
	start := time.Now()
	r = l.start("Postgres")
	err := OnPrimary(ctx, url, func(conn *pgx.Conn) error {
		if err := l.readRows(ctx, conn, &r, progress); err != nil {
			return err
		}
		// This comes after the rows, so that everything they show is flushed at or before this position.
		return conn.QueryRow(ctx, "SELECT pg_current_wal_flush_lsn()::text").Scan(&lsn)
	})
	if err != nil {
		r.Problem = err.Error()
	} else {
		l.summarize(&r)
	}
	r.Took = time.Since(start)
	return r, lsn
}

func (l *Ledger) readRows(ctx context.Context, conn *pgx.Conn, r *report.Reconciliation, progress Progress) error {
	rows, err := conn.Query(ctx, `SELECT id, idempotency_key, raffle_id, user_id, size, price, quantity, created_at
		FROM bids WHERE id > $1`, l.after)
	if err != nil {
		return fmt.Errorf("read the bids: %w", err)
	}
	var b shown
	var key *string
	n := int64(0)
	_, err = pgx.ForEachRow(rows, []any{&b.ID, &key, &b.Raffle, &b.User, &b.Size, &b.Price, &b.Quantity, &b.Created}, func() error {
		l.row(r, b, key)
		if n++; n%progressEvery == 0 {
			progress("rows in Postgres", n, l.acked)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the bids: %w", err)
	}
	return nil
}

// row enters one row. A row without any key is suspicious: nobody but the run should bid meanwhile, so the row
// may be the double of a bid that lost its key on the way. A row with a key of somebody else is ignored.
func (l *Ledger) row(r *report.Reconciliation, stored shown, key *string) {
	l.stored.set(stored.ID-l.after, stored.row().print())
	if key == nil {
		r.Unexpected++
		return
	}
	b, serial, ours := l.find(*key)
	switch {
	case !ours:
		return
	case !b.seen.add(int64(serial)):
		r.Doubled++
		r.DoubledKeys = example(r.DoubledKeys, b, serial)
	default:
		r.Stored++
		l.meet(r, b, serial, stored)
	}
	if b.gone.has(int64(serial)) {
		r.Unexpected++
		r.Differences = few(r.Differences, fmt.Sprintf("bid %d of key %s%d was cancelled, and is there", stored.ID, b.prefix, serial))
	}
	if b.of(serial) == stored.ID {
		b.matched.add(int64(serial))
		b.hold(r, serial, stored, stored.row())
	}
}

// hold compares what a row holds with what was sent under its key.
func (b *book) hold(r *report.Reconciliation, serial uint32, stored shown, holds row) {
	if holds.print() != b.sent.get(int64(serial)) {
		r.Altered++
		r.Differences = few(r.Differences, fmt.Sprintf("bid %d of key %s%d is stored as %+v, which was not sent or answered", stored.ID, b.prefix, serial, stored.row()))
	}
}

// of is the outcome of a key, 0 if there is none.
func (b *book) of(serial uint32) int64 {
	if int(serial) < len(b.outcome) {
		return b.outcome[serial]
	}
	return 0
}

// meet judges the first row of a key. A journal that was not closed may lack the last keys.
func (l *Ledger) meet(r *report.Reconciliation, b *book, serial uint32, stored shown) {
	switch outcome := b.of(serial); {
	case outcome == 0 && !l.complete:
		r.UnknownCommitted++
	case outcome == 0 || outcome == outcomeRefused:
		r.Unexpected++
	case outcome == outcomeUnknown:
		r.UnknownCommitted++
		r.UnknownKeys = example(r.UnknownKeys, b, serial)
		b.late[serial] = stored.ID
		holds := stored.row()
		holds.Created = 0 // the time was never answered
		b.hold(r, serial, stored, holds)
	}
}

// summarize counts what was acknowledged and not found.
func (l *Ledger) summarize(r *report.Reconciliation) {
	for _, b := range l.books {
		for serial, id := range b.outcome {
			if id > 0 && !b.matched.has(int64(serial)) && !b.missable(serial) {
				r.Lost++
				r.LostKeys = example(r.LostKeys, b, uint32(serial))
			}
		}
	}
}
