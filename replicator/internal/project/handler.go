package project

import (
	"context"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// queue hands batches from the handler, which fills them, to the applier, which writes them. It holds a single waiting
// batch, which the handler takes back to add to it. So the rows that arrive during a write go into the next
// write, and without a write under way they are written at once.
type queue struct {
	waiting chan *batch
	free    chan *batch
}

func newQueue(e readmodel.Epoch) *queue {
	q := &queue{waiting: make(chan *batch, 1), free: make(chan *batch, 3)}
	for range cap(q.free) {
		q.free <- newBatch(e)
	}
	return q
}

// acquire returns a batch to fill: the waiting one if there is room in it.
func (q *queue) acquire(ctx context.Context) (*batch, error) {
	select {
	case b := <-q.waiting:
		if !b.isFull() && !b.open && !b.settled {
			return b, nil
		}
		q.waiting <- b // can't block: this goroutine is the only sender
	default:
	}
	select {
	case b := <-q.free:
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (q *queue) hand(ctx context.Context, b *batch) error {
	select {
	case q.waiting <- b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release gives a flushed batch back.
func (q *queue) release(b *batch) {
	b.reset()
	q.free <- b
}

// handler is the wal.Handler: it records what arrives and hands it over at each commit.
type handler struct {
	ctx       context.Context // of the session; wal.Handler has none
	queue     *queue
	projector *projector
	current   *batch
	before    load // of the current batch, from transactions before this one
	handed    lsn.LSN
	beat      heartbeat.Beat
	origin    origin // of what Redis holds
	commit    commit // of the transaction that is open
	xid       uint32 // of that transaction
	skipping  bool   // Redis holds the open transaction
	published wal.Published
	altered   func(xid uint32) error // fails if something else is published once that transaction is visible
}

var _ wal.Handler = (*handler)(nil)

// Describe refuses a table that had another name or place when its rows were written (P11).
func (f *handler) Describe(r *wal.Relation) error {
	if !f.published.Fits(r) {
		return fmt.Errorf("%w: the stream has rows of %s, relation %d", errPublication, r.Name, r.ID)
	}
	return f.projector.describe(r)
}

// Begin notes which transaction the following rows are of.
func (f *handler) Begin(t wal.Transaction) (err error) {
	f.commit, f.xid = commit{t.Final, t.At}, t.XID
	f.skipping, err = f.origin.begin(f.commit, f.handed)
	f.projector.begin(t.Final)
	return err
}

func (f *handler) Truncate(relations []*wal.Relation) error {
	if f.skipping {
		return nil
	}
	for _, r := range relations {
		if tables.Of(r.Name) != tables.Other {
			return errTruncated
		}
	}
	return nil
}

// Row cuts a large transaction by its own rows alone. When it is sent again after a restart, without what
// shared its first flush, it is cut at the same rows, and Redis refuses the events that it has: those of
// another cut would partly be new.
func (f *handler) Row(m *wal.Message) error {
	if f.skipping {
		return nil
	}
	if err := f.fill(); err != nil {
		return err
	}
	if err := f.projector.row(f.current, m); err != nil {
		return err
	}
	if !f.current.since(f.before).isFull() {
		return nil
	}
	f.current.open = true
	f.projector.part++
	return f.hand()
}

// Logical stops the stream where the publication was changed, because the stream may lack rows from there on
// (P11). It ignores messages of others and heartbeats that the database can't have written: everybody may write
// logical messages.
func (f *handler) Logical(prefix, content []byte) error {
	switch {
	case f.skipping:
	case string(prefix) == wal.PublicationPrefix:
		return f.altered(f.xid)
	case string(prefix) == heartbeat.MessagePrefix:
		if b, err := heartbeat.Parse(string(content)); err == nil {
			f.beat = b
		}
	}
	return nil
}

// Commit hands even an empty transaction over: its end is a position, and a probe has no rows.
func (f *handler) Commit(end wal.LSN) error {
	if f.skipping {
		return nil
	}
	if err := f.fill(); err != nil {
		return err
	}
	f.current.lsn, f.current.open, f.current.last = end, false, f.commit
	f.current.settled = f.projector.part > 0
	f.current.commits++
	if f.beat != (heartbeat.Beat{}) {
		f.current.beat, f.beat = f.beat, heartbeat.Beat{}
	}
	f.handed = end
	return f.hand()
}

func (f *handler) Position(at wal.LSN) error {
	if at <= f.handed {
		return nil
	}
	if err := f.origin.position(at); err != nil {
		return err
	}
	if err := f.fill(); err != nil {
		return err
	}
	f.current.lsn, f.handed = at, at
	return f.hand()
}

// fill makes sure that there is a current batch with room for more.
func (f *handler) fill() (err error) {
	if f.current != nil {
		return nil
	}
	if f.current, err = f.queue.acquire(f.ctx); err == nil {
		f.before = f.current.load
	}
	return err
}

func (f *handler) hand() error {
	b := f.current
	f.current = nil
	return f.queue.hand(f.ctx, b)
}
