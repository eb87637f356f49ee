package session

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// lockPoll is how often the lock is asked for. lockAnswer is how long one answer may take, because a waiting replicator
// must notice a silent server, too (P13).
const (
	lockPoll   = 250 * time.Millisecond
	lockAnswer = 2 * time.Second
)

// control is the connection that holds the lock.
type control struct {
	conn     *pgx.Conn
	node     wal.Node
	pipeline wal.Pipeline
}

// openControl connects to a primary.
func openControl(ctx context.Context, node wal.Node, p wal.Pipeline) (*control, error) {
	conn, err := openSame(ctx, node, map[string]string{
		"application_name": "replicator-control",
		// The session is used every second. A session that is not belongs to a stopped replicator, and the server ends
		// it, so that the lock is free (P9).
		"idle_session_timeout": "5s",
		// Nothing that this session writes waits for a standby.
		"synchronous_commit": "local",
	})
	if err != nil {
		return nil, fmt.Errorf("control connection: %w", err)
	}
	return &control{conn, node, p}, nil
}

// openSame opens a connection to a node. The connection itself is asked which server it leads to, because a standby
// gives out locks, too, and an address can lead to another server than a moment ago.
func openSame(ctx context.Context, node wal.Node, params map[string]string) (*pgx.Conn, error) {
	conn, err := node.Open(ctx, params)
	if err != nil {
		return nil, err
	}
	is, err := node.Identify(ctx, conn)
	if err == nil && (is.System != node.System || is.Timeline != node.Timeline || is.Started != node.Started) {
		err = fmt.Errorf("%w: %s is another one than a moment ago", errServer, node)
	}
	if err != nil {
		_ = wal.Close(conn) // err says what is wrong
		return nil, err
	}
	return conn, nil
}

// close ends the session, and the lock with it.
func (c *control) close() {
	_ = wal.Close(c.conn) // an error means that the connection is gone already
}

// lock polls until it has the advisory lock, because a session that waits for a lock within the server does not notice
// that its client is gone. It calls waiting after each refusal.
func (c *control) lock(ctx context.Context, waiting func()) error {
	for {
		got, err := c.tryLock(ctx)
		if err != nil || got {
			return err
		}
		waiting()
		if err := sleep.For(ctx, lockPoll); err != nil {
			return err
		}
	}
}

func (c *control) tryLock(ctx context.Context) (got bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lockAnswer)
	defer cancel()
	if err := c.conn.QueryRow(ctx, tryLock, c.pipeline.Lock()).Scan(&got); err != nil {
		return false, fmt.Errorf("lock: %w", err)
	}
	return got, nil
}

// endCopies ends the copies of former replicators. Only the holder of the lock copies for the pipeline, so no other copy
// is ended. A replicator that was stopped within a copy still locks the table: a TRUNCATE or a migration waits for it,
// and everything that needs the table waits behind these.
func (c *control) endCopies(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	_, err := c.conn.Exec(ctx, endSessions, snapshot.CopyName(c.pipeline))
	if err != nil {
		return fmt.Errorf("end former copies: %w", err)
	}
	return nil
}

// leadsTo proves that the stream comes from the server that holds the lock. Otherwise, if an address leads to several
// servers or the server was replaced in between, the lock would be on one server and the rows would come from another.
func (c *control) leadsTo(ctx context.Context, stream *wal.Stream, system wal.System) error {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	var here bool
	err := c.conn.QueryRow(ctx, isWalsender, int32(stream.PID())).Scan(&here)
	if err != nil {
		return fmt.Errorf("control connection: %w", err)
	}
	if !here || system.ID != c.node.System || system.Timeline != c.node.Timeline {
		return fmt.Errorf("%w: the control connection is to system %d on timeline %d, the stream of system %d on timeline %d",
			errServer, c.node.System, c.node.Timeline, system.ID, system.Timeline)
	}
	return nil
}

// positions is what the primary answers once a second.
type positions struct {
	flushed   lsn.LSN
	published wal.Published
	slots     []wal.Slot
}

// tick keeps the session alive and asks for the primary's positions.
func (c *control) tick(ctx context.Context) (p positions, err error) {
	ctx, cancel := context.WithTimeout(ctx, wal.AnswerTime)
	defer cancel()
	flushed, err := replicationdb.New(c.conn).FlushPosition(ctx)
	if err != nil {
		return p, fmt.Errorf("flush position: %w", err)
	}
	if p.flushed, err = lsn.Parse(flushed); err != nil {
		return p, err
	}
	if p.published, err = wal.ReadPublished(ctx, c.conn); err != nil {
		return p, err
	}
	p.slots, err = wal.Slots(ctx, c.conn)
	return p, err
}
