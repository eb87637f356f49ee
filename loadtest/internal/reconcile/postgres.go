package reconcile

import (
	"context"
	"encoding/binary"
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
	rows, err := conn.Query(ctx, "SELECT id, idempotency_key FROM bids WHERE id > $1", l.after)
	if err != nil {
		return fmt.Errorf("read the bids: %w", err)
	}
	defer rows.Close()
	for n := int64(0); rows.Next(); n++ {
		raw := rows.RawValues() // int8 in its binary form, text as it is, null as nil
		l.row(r, int64(binary.BigEndian.Uint64(raw[0])), raw[1])
		if n%progressEvery == 0 {
			progress("rows in Postgres", n, l.acked)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the bids: %w", err)
	}
	return nil
}

// row enters one row. A row without any key is suspicious: nobody but the run should bid meanwhile, so the row
// may be the double of a bid that lost its key on the way. A row with a key of somebody else is ignored.
func (l *Ledger) row(r *report.Reconciliation, id int64, key []byte) {
	l.stored.add(id - l.after)
	b, serial, ours := l.find(string(key))
	switch {
	case !ours && key == nil:
		r.Unexpected++
	case !ours:
	case !b.seen.add(int64(serial)):
		r.Doubled++
		r.DoubledKeys = example(r.DoubledKeys, b, serial)
	default:
		r.Stored++
		b.meet(r, serial, id)
	}
	if ours && int(serial) < len(b.outcome) && b.outcome[serial] == id {
		b.matched.add(int64(serial))
	}
}

// meet judges the first row of a key.
func (b *book) meet(r *report.Reconciliation, serial uint32, id int64) {
	outcome := int64(0)
	if int(serial) < len(b.outcome) {
		outcome = b.outcome[serial]
	}
	switch outcome {
	case outcomeUnknown:
		r.UnknownCommitted++
		r.UnknownKeys = example(r.UnknownKeys, b, serial)
		b.late[serial] = id
	case outcomeRefused:
		r.Unexpected++
	}
}

// summarize counts what was acknowledged and not found.
func (l *Ledger) summarize(r *report.Reconciliation) {
	for _, b := range l.books {
		for serial, id := range b.outcome {
			if id > 0 && !b.matched.has(int64(serial)) {
				r.Lost++
				r.LostKeys = example(r.LostKeys, b, uint32(serial))
			}
		}
	}
}
