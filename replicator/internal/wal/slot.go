package wal

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// Slot is a replication slot of this service as the server shows it.
type Slot struct {
	Name          string
	Lost          bool // its WAL is gone (wal_status lost), or its plugin is not pgoutput
	Failover      bool // kept in step on the standbys (17 and later)
	ActivePID     int32
	ConfirmedLSN  LSN
	RetainedBytes int64 // WAL that the server keeps for it
}

// Querier is a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Slots lists the slots of all pipelines of this database, and others with our prefix. Slots of other databases belong to
// others.
func Slots(ctx context.Context, q Querier) ([]Slot, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	rows, err := q.Query(ctx, listSlots, slotPrefix)
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	slots, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Slot, err error) {
		var confirmed int64
		err = row.Scan(&s.Name, &s.Lost, &s.Failover, &s.ActivePID, &confirmed, &s.RetainedBytes)
		s.ConfirmedLSN = LSN(confirmed)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("list slots: %w", err)
	}
	return slots, nil
}

// KeepLimit is how many bytes of WAL the server keeps for a slot before the slot is lost; 0: no limit.
func KeepLimit(ctx context.Context, q Querier) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	var limit int64
	err := q.QueryRow(ctx, keepLimit).Scan(&limit)
	if err != nil {
		return 0, fmt.Errorf("max_slot_wal_keep_size: %w", err)
	}
	return limit, nil
}

// Drop removes a slot. A slot that is missing already is no error; a slot in use is.
func Drop(ctx context.Context, q Querier, name string) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	_, err := q.Exec(ctx, dropSlot, name)
	if err != nil && !pg.HasCode(err, pg.UndefinedObject) {
		return fmt.Errorf("drop slot %s: %w", name, err)
	}
	return nil
}

// Terminate ends the walsender that holds a slot. Only the holder of the lock may call it, because then that walsender
// belongs to a dead or stopped replicator.
func Terminate(ctx context.Context, q Querier, pid int32) error {
	ctx, cancel := context.WithTimeout(ctx, 2*AnswerTime)
	defer cancel()
	_, err := q.Exec(ctx, terminate, pid)
	if err != nil {
		return fmt.Errorf("terminate walsender %d: %w", pid, err)
	}
	return nil
}
