package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// lockKey is the advisory lock in the database that the one active replicator holds.
const lockKey = 0x7079_7261_6d69_6400

// control is the ordinary connection: it holds the lock and writes the probe.
type control struct{ conn *pgx.Conn }

func openControl(ctx context.Context, url string) (*control, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("primary URL: %w", err)
	}
	config.RuntimeParams["application_name"] = "replicator-control"
	// The probe uses the session every second; one that doesn't belongs to a stopped replicator and
	// gives the lock up by this (P9).
	config.RuntimeParams["idle_session_timeout"] = "5s"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("control connection: %w", err)
	}
	c := &control{conn}
	if err := c.onPrimary(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// onPrimary keeps a wrong URL from doing harm: a standby gives out locks, too, and whoever holds one
// fences the other replicator off.
func (c *control) onPrimary(ctx context.Context) error {
	var standby bool
	if err := c.conn.QueryRow(ctx, "SELECT pg_is_in_recovery()").Scan(&standby); err != nil {
		return fmt.Errorf("control connection: %w", err)
	}
	if standby {
		return errors.New("PRIMARY_URL leads to a standby")
	}
	return nil
}

func (c *control) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// The session ends with the connection either way, and the lock with the session.
	_ = c.conn.Close(ctx)
}

// lock waits for the advisory lock. It polls, since a session that waits in the server can't tell that
// its own client is gone.
func (c *control) lock(ctx context.Context, waiting func()) error {
	for {
		var got bool
		if err := c.conn.QueryRow(ctx, "SELECT pg_try_advisory_lock($1)", int64(lockKey)).Scan(&got); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if got {
			return nil
		}
		waiting()
		if err := wait(ctx, 250*time.Millisecond); err != nil {
			return err
		}
	}
}

// positions is what the primary says once a second.
type positions struct {
	flushed lsn.LSN
	slots   []wal.Slot
}

// probe writes the probe (P7, P8) and reads the primary's positions.
func (c *control) probe(ctx context.Context) (positions, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var p positions
	var flushed int64
	if _, err := c.conn.Exec(ctx, "SELECT heartbeat()"); err != nil {
		return p, fmt.Errorf("probe: %w", err)
	}
	if err := c.conn.QueryRow(ctx, "SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint").Scan(&flushed); err != nil {
		return p, fmt.Errorf("flush position: %w", err)
	}
	slots, err := wal.Slots(ctx, c.conn)
	return positions{lsn.LSN(flushed), slots}, err
}
