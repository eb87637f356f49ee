package wal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// createPatience is how long the server waits for one open transaction before it gives a slot up. It is a limit of the
// server, because if only the client gave up, the walsender would go on waiting.
const createPatience = 10 * time.Second

// CreateSlot makes a slot and exports the snapshot of its consistent point. The snapshot lives until this
// connection is used again or ends. CreateSlot waits for all open transactions that have written something, however
// long they take; Blockers lists them.
func (s *Stream) CreateSlot(ctx context.Context, name string) (snapshot string, consistent LSN, err error) {
	if err := s.exec(ctx, fmt.Sprintf("SET lock_timeout = %d", createPatience.Milliseconds())); err != nil {
		return "", 0, err
	}
	for {
		r, err := pglogrepl.ParseCreateReplicationSlot(s.conn.Exec(ctx, createSlot(name, major(s.conn))))
		if pg.HasCode(err, pg.LockNotAvailable) && ctx.Err() == nil { // the server has made no slot
			continue
		}
		if err != nil {
			return "", 0, fmt.Errorf("create slot %s: %w", name, err)
		}
		consistent, err = lsn.Parse(r.ConsistentPoint)
		return r.SnapshotName, consistent, err
	}
}

// createSlot returns the command. Servers from 17 on can keep a slot in step on the standbys, so that it survives a
// promotion (documentation of 17, chapter 47.2.3).
func createSlot(name string, version int) string {
	options := []string{"SNAPSHOT 'export'"}
	if version >= 17 {
		options = append(options, "FAILOVER true")
	}
	return fmt.Sprintf("CREATE_REPLICATION_SLOT %s LOGICAL pgoutput (%s)", name, strings.Join(options, ", "))
}

// exec runs a short statement on the replication connection, before it streams.
func (s *Stream) exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	if err := s.conn.Exec(ctx, sql).Close(); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	return nil
}

// Blocker is a session whose open transaction holds up another session.
type Blocker struct {
	PID         int32
	User        string
	Application string
	State       string        // such as "idle in transaction"
	Open        time.Duration // how long its transaction has been open
}

// String describes the session for logs.
func (b Blocker) String() string {
	return fmt.Sprintf("pid %d (%s, %s, %s), open for %s", b.PID, b.User, b.Application, b.State, b.Open.Round(time.Second))
}

// Blockers returns the sessions for which a process of the server waits. Only members of pg_read_all_stats see what the
// sessions of other users do.
func Blockers(ctx context.Context, q Querier, pid uint32) ([]Blocker, error) {
	ctx, cancel := context.WithTimeout(ctx, AnswerTime)
	defer cancel()
	rows, err := q.Query(ctx, listBlockers, int32(pid))
	if err != nil {
		return nil, fmt.Errorf("blockers: %w", err)
	}
	defer rows.Close()
	var all []Blocker
	for rows.Next() {
		var b Blocker
		var millis int64
		if err := rows.Scan(&b.PID, &b.User, &b.Application, &b.State, &millis); err != nil {
			return nil, fmt.Errorf("blockers: %w", err)
		}
		b.Open = time.Duration(millis) * time.Millisecond
		all = append(all, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("blockers: %w", err)
	}
	return all, nil
}
