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
	if f := l.rows.at(stored.ID - l.after); f != nil {
		f.print = stored.row().print()
	}
	if key == nil {
		r.Unexpected++
		return
	}
	b, serial, ours := l.find(*key)
	if !ours {
		return
	}
	k := b.key(serial)
	if k.seen {
		r.Doubled++
		r.DoubledKeys = few(r.DoubledKeys, *key)
	} else {
		k.seen = true
		r.Stored++
		l.meet(r, k, *key, stored)
	}
	if k.gone {
		r.Unexpected++
		r.Differences = few(r.Differences, fmt.Sprintf("bid %d of key %s was cancelled, and is there", stored.ID, *key))
	}
	if k.id == stored.ID {
		k.matched = true
		k.hold(r, *key, stored, stored.row())
	}
}

// hold compares what a row holds with what was sent under its key.
func (k *key) hold(r *report.Reconciliation, name string, stored shown, holds row) {
	if holds.print() != k.sent {
		r.Altered++
		r.Differences = few(r.Differences, fmt.Sprintf("bid %d of key %s is stored as %+v, which was not sent or answered", stored.ID, name, stored.row()))
	}
}

// meet judges the first row of a key. A journal that was not closed may lack the last keys.
func (l *Ledger) meet(r *report.Reconciliation, k *key, name string, stored shown) {
	switch {
	case k.id == 0 && !l.complete:
		r.UnknownCommitted++
	case k.id == 0 || k.id == outcomeRefused:
		r.Unexpected++
	case k.id == outcomeUnknown:
		r.UnknownCommitted++
		r.UnknownKeys = few(r.UnknownKeys, name)
		k.late = stored.ID
		holds := stored.row()
		holds.Created = 0 // the time was never answered
		k.hold(r, name, stored, holds)
	}
}

// summarize counts what was acknowledged and not found.
func (l *Ledger) summarize(r *report.Reconciliation) {
	for _, b := range l.books {
		for serial, k := range b.keys {
			if k.id > 0 && !k.matched && !k.missable() {
				r.Lost++
				r.LostKeys = few(r.LostKeys, b.name(serial))
			}
		}
	}
}
