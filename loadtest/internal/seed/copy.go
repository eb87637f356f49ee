package seed

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// reportEvery is how many rows pass between two calls of Progress.
const reportEvery = 10_000

// copyAll sends the rows of every table, in the order of tables.
func (l *loader) copyAll(ctx context.Context, tx pgx.Tx) error {
	scale := l.set.Scale()
	err := copyTable(ctx, l, tx, "users (id, login, password_hash, role)",
		int64(scale.Users)+1, l.set.Users, l.user)
	if err != nil {
		return err
	}
	err = copyTable(ctx, l, tx, "products (id, name, model, color, category, image_url, release_price, release_date)",
		int64(scale.Products), slices.Values(l.set.Products()), l.product)
	if err != nil {
		return err
	}
	err = copyTable(ctx, l, tx, "raffles (id, product_id, seller_id, starts_at, ends_at, closed_at, closing_price)",
		int64(scale.Raffles), slices.Values(l.set.Raffles()), l.raffle)
	if err != nil {
		return err
	}
	return copyTable(ctx, l, tx, "bids "+bidColumns, scale.Bids, l.set.Bids(), l.bid)
}

const bidColumns = "(raffle_id, id, user_id, size, price, quantity, created_at)"

// copyTable sends rows to a target, which is a table and its columns.
func copyTable[T any](ctx context.Context, l *loader, tx pgx.Tx, target string, total int64,
	rows iter.Seq[T], encode func(buf []byte, row T) []byte) error {
	table, _, _ := strings.Cut(target, " ")
	l.progress(table, 0, total)
	report := func(done int64) {
		if done < total { // the end is reported once the rows have arrived
			l.progress(table, done, total)
		}
	}
	r := newReader(batches(rows, encode, report))
	defer r.close()
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, r, "COPY "+target+" FROM STDIN (FORMAT binary)")
	if err != nil {
		return fmt.Errorf("copy %s: %w", table, err)
	}
	if tag.RowsAffected() != total {
		return fmt.Errorf("copy %s: %d of %d rows arrived", table, tag.RowsAffected(), total)
	}
	l.summary.Rows[table] = total
	l.progress(table, total, total)
	return nil
}

// batchSize is about how many bytes are encoded at a time.
const batchSize = 64 << 10

// batches yields the stream of a binary COPY in pieces; each is valid until the next.
func batches[T any](rows iter.Seq[T], encode func([]byte, T) []byte, report func(done int64)) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		// The signature, no flags, no header extension (PostgreSQL's manual, COPY, "Binary Format").
		buf := append(make([]byte, 0, batchSize+4<<10), "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
		var done int64
		for row := range rows {
			if buf = encode(buf, row); len(buf) >= batchSize {
				if !yield(buf) {
					return
				}
				buf = buf[:0]
			}
			if done++; done%reportEvery == 0 {
				report(done)
			}
		}
		yield(binary.BigEndian.AppendUint16(buf, 0xffff)) // the trailer: -1 fields
	}
}

// reader is the io.Reader over batches that CopyFrom wants. CopyFrom reads in a goroutine of its own. If the
// connection breaks, it returns without waiting for that goroutine, so the reader needs a lock.
type reader struct {
	mu   sync.Mutex
	next func() ([]byte, bool)
	stop func()
	rest []byte
}

func newReader(batches iter.Seq[[]byte]) *reader {
	next, stop := iter.Pull(batches)
	return &reader{next: next, stop: stop}
}

// Read returns io.EOF at the end of the batches and after close.
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.rest) == 0 {
		var ok bool
		if r.rest, ok = r.next(); !ok {
			return 0, io.EOF
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// close returns once no further batch is made.
func (r *reader) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = nil
	r.stop()
}
