package project

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// loader reads the tables of a snapshot into batches, through the same projector as the stream.
type loader struct {
	queue     *queue
	projector *projector
	current   *batch
}

// snapshotOrder is the order of the tables. Raffles come before their bids, so that no bid is there
// whose raffle isn't; bids come set by set, which makes long runs.
var snapshotOrder = []struct{ table, order string }{
	{"public.products", ""}, {"public.raffles", ""}, {"public.bids", " ORDER BY raffle_id, size"},
}

// load closes the queue at the end, successful or not.
func (l *loader) load(ctx context.Context, tx pgx.Tx) error {
	defer close(l.queue.waiting)
	if _, err := tx.Exec(ctx, "SET LOCAL work_mem = '64MB'; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	for i, t := range snapshotOrder {
		if err := l.table(ctx, tx, uint32(i+1), t.table, t.order); err != nil {
			return fmt.Errorf("snapshot of %s: %w", t.table, err)
		}
	}
	if l.current == nil {
		return nil
	}
	return l.queue.hand(ctx, l.current)
}

func (l *loader) table(ctx context.Context, tx pgx.Tx, id uint32, name, order string) error {
	relation, err := describe(ctx, tx, id, name)
	if err != nil {
		return err
	}
	if err := l.projector.describe(relation); err != nil {
		return err
	}
	m := wal.Message{Kind: wal.Insert, Relation: relation}
	reader := &wal.CopyReader{Row: func(fields [][]byte) error {
		if l.current == nil {
			if l.current, err = l.queue.acquire(ctx); err != nil {
				return err
			}
		}
		wal.CopyRow(relation, fields, &m.New)
		if err := l.projector.row(l.current, &m); err != nil {
			return err
		}
		if !l.current.isFull() {
			return nil
		}
		b := l.current
		l.current = nil
		return l.queue.hand(ctx, b)
	}}
	columns := make([]string, len(relation.Columns))
	for i, c := range relation.Columns {
		columns[i] = pgx.Identifier{c.Name}.Sanitize()
	}
	sql := fmt.Sprintf("COPY (SELECT %s FROM %s%s) TO STDOUT (FORMAT binary)", strings.Join(columns, ", "), name, order)
	if _, err := tx.Conn().PgConn().CopyTo(ctx, reader, sql); err != nil {
		return err
	}
	return reader.Close()
}

// describe reads the needed columns of a table as the stream would describe them.
func describe(ctx context.Context, tx pgx.Tx, id uint32, name string) (*wal.Relation, error) {
	wanted := make([]string, 0, 8)
	for _, c := range tables[name].columns {
		wanted = append(wanted, c.name)
	}
	rows, err := tx.Query(ctx, `SELECT attname::text, atttypid FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attname = ANY ($2) AND NOT attisdropped ORDER BY attnum`, name, wanted)
	if err != nil {
		return nil, err
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[wal.ColumnType])
	return &wal.Relation{ID: id, Name: name, Full: true, Columns: columns}, err
}

// dropLeftovers drops our slots that nobody uses, except for the named one: what interrupted rebuilds
// and former epochs left behind.
func dropLeftovers(ctx context.Context, q wal.Querier, except string) error {
	slots, err := wal.Slots(ctx, q)
	if err != nil {
		return err
	}
	for _, s := range slots {
		if s.Name == except || s.ActivePID != 0 {
			continue
		}
		if err := wal.Drop(ctx, q, s.Name); err != nil {
			return err
		}
	}
	return nil
}

func (r *Replicator) withConn(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, r.primaryURL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(ctx, conn)
}

func (r *Replicator) drop(ctx context.Context, slot string) error {
	return r.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error { return wal.Drop(ctx, conn, slot) })
}

// tidyPause spreads the removal of old keys: about 50,000 keys a second.
const tidyPause = 10 * time.Millisecond

// tidy removes the slots and keys of other epochs than the served one. What fails is left to the next
// session.
func (r *Replicator) tidy(ctx context.Context, cp readmodel.Checkpoint) {
	err := r.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error { return dropLeftovers(ctx, conn, cp.Slot) })
	if err != nil && ctx.Err() == nil {
		r.log.Warn("old slots are left", "error", err)
	}
	n, err := sweep(ctx, r.redis, readmodel.CheckpointKey, cp.Token, epochs{cp.Epoch: true}, tidyPause)
	if err != nil && ctx.Err() == nil {
		r.log.Warn("old keys are left", "error", err)
	}
	if n > 0 {
		r.log.Info("removed the keys of other epochs", "keys", n)
	}
}
