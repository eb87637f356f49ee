package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// queue hands batches from the handler, which fills them, to the applier, which writes them. At most one batch waits,
// and the handler takes it back to add more. So the rows that arrive during a write share the next write, and a row
// that arrives while nothing is written is written at once.
type queue struct {
	waiting chan *projection.Batch
	free    chan *projection.Batch
}

func newQueue(e readmodel.Epoch) *queue {
	q := &queue{waiting: make(chan *projection.Batch, 1), free: make(chan *projection.Batch, 3)}
	for range cap(q.free) {
		q.free <- projection.NewBatch(e)
	}
	return q
}

// acquire returns a batch to fill: the waiting one if it takes more, otherwise an empty one.
func (q *queue) acquire(ctx context.Context) (*projection.Batch, error) {
	select {
	case b := <-q.waiting:
		if b.TakesMore() {
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

func (q *queue) hand(ctx context.Context, b *projection.Batch) error {
	select {
	case q.waiting <- b:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// release makes a written batch available again.
func (q *queue) release(b *projection.Batch) {
	b.Reset()
	q.free <- b
}

// handler is the wal.Handler that fills batches. It hands a batch over at each commit, and within a large transaction
// whenever the batch is full.
type handler struct {
	ctx       context.Context // of the session; wal.Handler has none
	queue     *queue
	projector *projection.Projector
	current   *projection.Batch
	before    projection.Load // of the current batch before the open transaction added to it
	handed    lsn.LSN
	beat      heartbeat.Beat
	origin    origin            // of what Redis holds
	commit    projection.Commit // of the open transaction
	xid       uint32            // of the open transaction, while it ran
	skipping  bool              // Redis holds the open transaction
	spans     bool              // whether spans are made
	parent    string            // the span of the open transaction; "": none
	published wal.Published
	altered   func(xid uint32) error // as Job.Altered
}

var _ wal.Handler = (*handler)(nil)

// Describe refuses a table that had another name or place when its rows were written (P11).
func (h *handler) Describe(r *wal.Relation) error {
	if !h.published.Fits(r) {
		return fmt.Errorf("%w: the stream has rows of %s, relation %d", wal.ErrPublicationChanged, r.Name, r.ID)
	}
	return h.projector.Describe(r)
}

// Begin notes which transaction the following rows are of.
func (h *handler) Begin(t wal.Transaction) (err error) {
	h.commit, h.xid = projection.Commit{Begins: t.Final, At: t.At}, t.XID
	h.skipping, err = h.origin.begin(h.commit, h.handed)
	h.projector.Begin(t.Final)
	return err
}

func (h *handler) Truncate(relations []*wal.Relation) error {
	if h.skipping {
		return nil
	}
	for _, r := range relations {
		if tables.Of(r.Name) != tables.Other {
			return projection.ErrTruncated
		}
	}
	return nil
}

// Row cuts a large transaction by its own rows alone, whatever else shares its first batch. So a transaction that is
// sent again after a restart is cut at the same rows and gives its events the same ids, and Redis refuses the events
// that it has. With other cuts an event entry could be partly new.
func (h *handler) Row(m *wal.Message) error {
	if h.skipping {
		return nil
	}
	if err := h.fill(); err != nil {
		return err
	}
	if err := h.projector.Row(h.current, m); err != nil {
		return err
	}
	if !h.current.Since(h.before).IsFull() {
		return nil
	}
	h.projector.Cut(h.current)
	return h.hand()
}

// Logical asks whether the publication is still the same when a message says that it may have changed, because from
// there on the stream may lack rows (P11). Anyone may write logical messages, so messages of other kinds and malformed
// heartbeats are ignored.
func (h *handler) Logical(prefix, content []byte) error {
	switch {
	case h.skipping:
	case string(prefix) == wal.PublicationPrefix:
		return h.altered(h.xid)
	case h.spans && string(prefix) == tracing.Prefix:
		h.parent = string(content)
	case string(prefix) == heartbeat.MessagePrefix:
		if b, err := heartbeat.Parse(string(content)); err == nil {
			h.beat = b
		}
	}
	return nil
}

// Commit hands over even a transaction without rows, because its end is a position and a heartbeat has no rows.
func (h *handler) Commit(end wal.LSN) error {
	if h.skipping {
		return nil
	}
	if err := h.fill(); err != nil {
		return err
	}
	h.projector.Commit(h.current, h.commit, end, h.beat)
	h.beat, h.handed = heartbeat.Beat{}, end
	if h.parent != "" {
		h.current.Trace(projection.Traced{Parent: h.parent, LSN: end, Received: time.Now()})
		h.parent = ""
	}
	return h.hand()
}

func (h *handler) Position(at wal.LSN) error {
	if at <= h.handed {
		return nil
	}
	if err := h.origin.position(at); err != nil {
		return err
	}
	if err := h.fill(); err != nil {
		return err
	}
	h.current.Reach(at)
	h.handed = at
	return h.hand()
}

// fill makes sure that there is a current batch.
func (h *handler) fill() (err error) {
	if h.current != nil {
		return nil
	}
	if h.current, err = h.queue.acquire(h.ctx); err == nil {
		h.before = h.current.Load
	}
	return err
}

func (h *handler) hand() error {
	b := h.current
	h.current = nil
	return h.queue.hand(h.ctx, b)
}
