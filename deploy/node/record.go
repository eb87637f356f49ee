package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/pg"
)

// Record is what the witness knows: who leads, and whether the other node has every acknowledged commit. It is one
// row, and every change names what it expects to find. So of a promotion and a relaxation at the same time only one
// happens, and a leader whose change hits no row knows that it leads no more.
type Record struct {
	Leader string // "" before the first node was made
	Term   int64  // rises with each change of the leader
	InSync bool   // the other node has every acknowledged commit
	// Generation is how often the system was restored from a backup. Data of another generation are of a lost history.
	Generation int64
	version    int64 // rises with each change, so that a change that arrives late hits no row
}

const recordTable = `CREATE SCHEMA IF NOT EXISTS pyramid AUTHORIZATION repmgr;
CREATE TABLE IF NOT EXISTS pyramid.leadership (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	leader   text NOT NULL,
	term     bigint NOT NULL,
	in_sync  boolean NOT NULL,
	version  bigint NOT NULL DEFAULT 1,
	changed  timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE pyramid.leadership ADD COLUMN IF NOT EXISTS generation bigint NOT NULL DEFAULT 0;
ALTER TABLE pyramid.leadership OWNER TO repmgr`

const witnessTimeout = time.Second

// Witness reads and changes the record. It is not safe for concurrent use.
type Witness struct{ conn connection }

func newWitness() *Witness {
	return &Witness{connection{url: "service=witness", timeout: witnessTimeout}}
}

// Read returns the record. A record without a leader was not made yet.
func (w *Witness) Read(ctx context.Context) (r Record, err error) {
	err = w.conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		// The column is missing as long as the witness's agent is of an earlier version.
		err := c.QueryRow(ctx, `SELECT leader, term, in_sync, version, coalesce((to_jsonb(l) ->> 'generation')::bigint, 0) FROM pyramid.leadership l`).
			Scan(&r.Leader, &r.Term, &r.InSync, &r.version, &r.Generation)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	})
	return r, err
}

// errDeposed: the record is not what the change expected.
var errDeposed = errors.New("the witness's record has changed meanwhile: see `node show`")

// change carries out a statement that must hit the row.
func (w *Witness) change(ctx context.Context, sql string, args ...any) error {
	return w.conn.use(ctx, func(ctx context.Context, c *pgx.Conn) error {
		tag, err := c.Exec(ctx, sql, args...)
		if err == nil && tag.RowsAffected() != 1 {
			err = errDeposed
		}
		return err
	})
}

// Enter makes node, whose data are of the generation, the leader if there is no record yet.
func (w *Witness) Enter(ctx context.Context, node string, generation int64) error {
	return w.change(ctx, "INSERT INTO pyramid.leadership (leader, term, in_sync, generation) VALUES ($1, 1, false, $2) ON CONFLICT DO NOTHING", node, generation)
}

// Restored makes node the leader of a restored system after r. From now on all data of an earlier generation are copied anew.
func (w *Witness) Restored(ctx context.Context, r Record, node string, generation int64) error {
	if r.Leader == "" {
		return w.Enter(ctx, node, generation)
	}
	return w.change(ctx, `UPDATE pyramid.leadership SET leader = $3, generation = $4, term = term + 1, version = version + 1, in_sync = false,
		changed = clock_timestamp() WHERE leader = $1 AND version = $2`, r.Leader, r.version, node, generation)
}

// SetSync records whether the other node has every acknowledged commit. Only the leader may say so.
func (w *Witness) SetSync(ctx context.Context, r Record, inSync bool) error {
	return w.change(ctx, `UPDATE pyramid.leadership SET in_sync = $3, version = version + 1, changed = clock_timestamp()
		WHERE leader = $1 AND version = $2`, r.Leader, r.version, inSync)
}

// Lead makes node the leader after r. Unless forced, that needs a node that has every acknowledged commit.
func (w *Witness) Lead(ctx context.Context, r Record, node string, forced bool) error {
	err := w.change(ctx, `UPDATE pyramid.leadership SET leader = $3, term = term + 1, version = version + 1, in_sync = false, changed = clock_timestamp()
		WHERE leader = $1 AND version = $2 AND (in_sync OR $4)`, r.Leader, r.version, node, forced)
	switch {
	case errors.Is(err, errDeposed) && r.Leader == "":
		return errors.New("the witness has no record: run `node lead` on the node that has all bids")
	case errors.Is(err, errDeposed) && !r.InSync && !forced:
		return fmt.Errorf("%s may lack acknowledged bids, because it was not in sync with %s: start %s again, or give these bids up with `node promote --force`",
			node, r.Leader, r.Leader)
	}
	return err
}

func (w *Witness) close() { w.conn.close() }

// connection is one connection that is made when it is needed and given up after an error.
type connection struct {
	url     string
	timeout time.Duration
	conn    *pgx.Conn
}

// use lends the connection for at most the timeout.
func (c *connection) use(ctx context.Context, do func(context.Context, *pgx.Conn) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if c.conn == nil {
		if c.conn, err = pgx.Connect(ctx, c.url); err != nil {
			c.conn = nil
			return err
		}
	}
	err = do(ctx, c.conn)
	if err != nil && (pg.Code(err) == "" && !errors.Is(err, errDeposed) || c.conn.IsClosed()) {
		c.close()
	}
	return err
}

// close gives the connection up without waiting for the server.
func (c *connection) close() {
	if c.conn != nil {
		conn := c.conn
		c.conn = nil
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), witnessTimeout)
			defer cancel()
			_ = conn.Close(ctx) // it is given up, so an error changes nothing
		}()
	}
}
