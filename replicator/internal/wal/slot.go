package wal

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Slot is a replication slot of this service as the server shows it.
type Slot struct {
	Name          string
	Lost          bool // wal_status lost: its WAL is gone
	ActivePID     int32
	ConfirmedLSN  LSN
	RetainedBytes int64 // WAL kept for it
}

// Querier is a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Slots lists this database's slots with our prefix; slots of other databases are somebody else's.
func Slots(ctx context.Context, q Querier) ([]Slot, error) {
	rows, err := q.Query(ctx, `SELECT slot_name::text, coalesce(wal_status = 'lost', false) OR plugin <> 'pgoutput',
			coalesce(active_pid, 0), coalesce(confirmed_flush_lsn - '0/0', 0)::bigint,
			coalesce(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn), 0)::bigint
		FROM pg_replication_slots
		WHERE slot_type = 'logical' AND database = current_database() AND starts_with(slot_name::text, $1)`, SlotPrefix)
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	slots, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Slot, err error) {
		var confirmed int64
		err = row.Scan(&s.Name, &s.Lost, &s.ActivePID, &confirmed, &s.RetainedBytes)
		s.ConfirmedLSN = LSN(confirmed)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	return slots, nil
}

// Drop removes a slot; one that is gone already is no error, one that is in use is.
func Drop(ctx context.Context, q Querier, name string) error {
	_, err := q.Exec(ctx, "SELECT pg_drop_replication_slot($1)", name)
	if err != nil && !HasCode(err, "42704") { // undefined_object
		return fmt.Errorf("drop slot %s: %w", name, err)
	}
	return nil
}

// Terminate ends the walsender that holds a slot. Only the holder of the lock may ask for it: what
// still holds the slot then is what a dead or stopped replicator of the same role left behind.
func Terminate(ctx context.Context, q Querier, pid int32) error {
	_, err := q.Exec(ctx, "SELECT pg_terminate_backend($1, 5000)", pid)
	if err != nil {
		return fmt.Errorf("terminate walsender %d: %w", pid, err)
	}
	return nil
}

// CheckPublication returns an ErrShape if a row or a kind of change would be missing in the stream.
func CheckPublication(ctx context.Context, q Querier) error {
	var complete bool
	err := q.QueryRow(ctx, `SELECT coalesce(bool_and(pubinsert AND pubupdate AND pubdelete AND pubtruncate), false) AND (
			SELECT count(*) = 3 FROM pg_publication_tables t JOIN pg_class c ON c.oid = format('%I.%I', t.schemaname, t.tablename)::regclass
			WHERE t.pubname = $1 AND t.schemaname = 'public' AND t.tablename IN ('bids', 'raffles', 'products')
			  AND c.relreplident = 'f' AND t.rowfilter IS NULL)
		FROM pg_publication WHERE pubname = $1`, Publication).Scan(&complete)
	if err != nil {
		return fmt.Errorf("publication %s: %w", Publication, err)
	}
	if !complete {
		return fmt.Errorf("%w: publication %s must carry every change of bids, raffles and products, each with REPLICA IDENTITY FULL",
			ErrShape, Publication)
	}
	return nil
}

// HasCode says whether an error is a server's error with this SQLSTATE.
func HasCode(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}
