package apply

import (
	"context"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// fed returns a handler, and a function that gives it n rows of products.
func fed(t *testing.T) (f *handler, insert func(n int)) {
	t.Helper()
	f = &handler{ctx: context.Background(), queue: newQueue(1), projector: projection.NewProjector(1)}
	relation := &wal.Relation{ID: 1, Name: "public.products", Full: true, Columns: []wal.ColumnType{{Name: "id", OID: 20},
		{Name: "name", OID: 25}, {Name: "model", OID: 25}, {Name: "color", OID: 25}, {Name: "category", OID: 25}, {Name: "image_url", OID: 25},
		{Name: "release_price", OID: 20}, {Name: "release_date", OID: 1082}}}
	if err := f.Describe(relation); err != nil {
		t.Fatal(err)
	}
	m := &wal.Message{Kind: wal.Insert, Relation: relation}
	number, text := []byte{0, 0, 0, 1}, []byte("x")
	return f, func(n int) {
		for range n {
			wal.CopyRow(relation, [][]byte{number, text, text, text, text, text, number, number}, &m.New)
			if err := f.Row(m); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// leadsTo is the checkpoint after a batch.
func leadsTo(b *projection.Batch) readmodel.Checkpoint {
	return b.Checkpoint(readmodel.Checkpoint{}, time.Now())
}

func TestTransactionsShareAFlushAndALargeOneTakesSeveral_P2(t *testing.T) {
	f, insert := fed(t)
	insert(1)
	_ = f.Commit(10)
	insert(2)
	_ = f.Commit(20)
	_ = f.Position(15) // late, so not past what was handed over
	_ = f.Position(25)
	_ = f.Begin(wal.Transaction{Final: 29})
	insert(projection.MaxChanges)
	b := <-f.queue.waiting
	if cp := leadsTo(b); cp.LSN != 25 || b.Commits != 2 || b.Changes != 3+projection.MaxChanges || !cp.Applying {
		t.Errorf("first flush: %s, %d commits, %d changes", cp, b.Commits, b.Changes)
	}
	f.queue.release(b)
	insert(1)
	_ = f.Logical([]byte(heartbeat.MessagePrefix), []byte("1,2,123"))
	_ = f.Commit(30)
	b = <-f.queue.waiting
	if cp := leadsTo(b); cp.LSN != 30 || b.Changes != 1 || cp.Applying || cp.Beat.At != 123 {
		t.Errorf("last flush: %s, %d changes, heartbeat %v", cp, b.Changes, cp.Beat)
	}
}

// A batch that waits takes transactions without rows for as long as the wait lasts, and must not grow by their traces.
func TestTheTracesOfABatchAreBounded(t *testing.T) {
	f, _ := fed(t)
	f.spans = true
	const transactions = 1000
	for i := range wal.LSN(transactions) {
		_ = f.Logical([]byte(tracing.Prefix), []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"))
		_ = f.Commit(10 + i)
	}
	b := <-f.queue.waiting
	if n := len(b.Traced); b.Commits != transactions || n != 128 || b.Traced[0].LSN != 10 || b.Traced[n-1].LSN != 10+127 {
		t.Errorf("%d commits, %d traces", b.Commits, n)
	}
}

// P2: while large transactions wait, the read model is whole between any two of them.
func TestNothingIsAddedToTheEndOfALargeTransaction_P2(t *testing.T) {
	f, insert := fed(t)
	_ = f.Begin(wal.Transaction{Final: 9})
	insert(projection.MaxChanges)
	f.queue.release(<-f.queue.waiting)
	insert(1)
	_ = f.Commit(10)
	_ = f.Begin(wal.Transaction{Final: 19})
	insert(1)
	select {
	case b := <-f.queue.waiting:
		if cp := leadsTo(b); cp.LSN != 10 || b.Changes != 1 || cp.Applying {
			t.Errorf("%s, %d changes", cp, b.Changes)
		}
	default:
		t.Error("the end of a large transaction was taken back")
	}
}
