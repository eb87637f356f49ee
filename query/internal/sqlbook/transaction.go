package sqlbook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// outcome is what a transaction shows besides the rows of its statements.
type outcome struct {
	node readdb.NodePositionRow
	at   bidbook.Position
	err  error
}

// errOtherNode says that pgpool-II changed the node between two statements, so that the position is not that of the
// data.
var errOtherNode = errors.New("the node changed within a read")

// transact runs the statements in one READ COMMITTED transaction and one round trip. The position comes first, in a
// statement of its own, because each later statement sees at least everything that was committed before it.
func (p *Postgres) transact(ctx context.Context, statements []statement) (o outcome) {
	var started time.Time
	before := p.before()
	all := make([]statement, 0, len(statements)+2)
	all = append(all, func(q *readdb.Queries) (err error) { o.node, err = q.NodePosition(ctx, before); return })
	all = append(all, statements...)
	if p.path == bidbook.PathReplica {
		all = append(all, func(q *readdb.Queries) (err error) { started, err = q.NodeStarted(ctx); return })
	}
	astray := func() bool { return p.path != bidbook.PathPrimary && !o.node.Standby }
	if o.err = p.send(ctx, all, astray); o.err != nil {
		o.err = fmt.Errorf("%s: %w", p.path, o.err)
		return o
	}
	if p.path == bidbook.PathReplica && !o.node.Started.Equal(started) {
		o.err = errOtherNode
		return o
	}
	if o.at, o.err = p.position(o.node); o.err == nil {
		o.at, o.err = p.believed(ctx, o.at, o.node)
	}
	return o
}

// send runs a transaction. A server that was restarted has closed all connections of the pool, which shows only when
// one is used. Then send drops all connections and sends the transaction, which only reads, once more. After a success,
// astray says whether the connection leads to another server than it should.
func (p *Postgres) send(ctx context.Context, statements []statement, astray func() bool) error {
	batch, err := record(statements)
	if err != nil {
		return err
	}
	err = p.exchange(ctx, batch, statements, astray)
	if closed(err) && ctx.Err() == nil {
		p.pool.Reset()
		err = p.exchange(ctx, batch, statements, astray)
	}
	return err
}

// closed says whether the server, or something between, has closed the connection.
func closed(err error) bool {
	var last *pgconn.PgError
	return errors.As(err, &last) && last.Severity == "FATAL" || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (p *Postgres) exchange(ctx context.Context, batch *pgx.Batch, statements []statement, astray func() bool) (err error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil && astray() && p.goesBack(conn.Conn()) {
			giveUp(conn)
			return
		}
		conn.Release()
	}()
	if err := prepare(ctx, conn.Conn(), batch); err != nil {
		return err
	}
	results := conn.SendBatch(ctx, batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	q := readdb.New(player{results})
	for _, s := range statements {
		if err := s(q); err != nil {
			return err
		}
	}
	return nil
}

// prepareUsual prepares the statements that lists of bids need, so that the first list on a connection costs no more
// than the others.
func prepareUsual(ctx context.Context, conn *pgx.Conn) error {
	batch, err := record([]statement{
		func(q *readdb.Queries) error { _, err := q.NodePosition(ctx, readdb.NodePositionParams{}); return err },
		func(q *readdb.Queries) error { _, err := q.BidsNewest(ctx, readdb.BidsNewestParams{}); return err },
		func(q *readdb.Queries) error { _, err := q.BidsHighest(ctx, readdb.BidsHighestParams{}); return err },
		func(q *readdb.Queries) error { _, err := q.RaffleExists(ctx, 0); return err },
		func(q *readdb.Queries) error { _, err := q.NodeStarted(ctx); return err },
	})
	if err != nil {
		return err
	}
	return prepare(ctx, conn, batch)
}

// prepare prepares the statements that the connection does not know yet, each in a round trip of its own: when one
// pipeline prepares several, pgpool-II 4.3 often waits for ever (tried).
func prepare(ctx context.Context, conn *pgx.Conn, batch *pgx.Batch) error {
	for _, q := range batch.QueuedQueries {
		if _, err := conn.Prepare(ctx, q.SQL, q.SQL); err != nil {
			return err
		}
	}
	return nil
}
