package apply

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// P13: a session gives up a stream that is silent, although its connection is open.
func TestASilentStreamIsGivenUp_P13(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := testenv.NewDatabase(t)
	way := testenv.StartProxy(t, db.Addr())
	servers, err := wal.Servers(way.URL(db.URL("replicator")))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := servers[0].Stream(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	const epoch = 21
	if _, _, err := stream.CreateSlot(ctx, wal.Unnamed.SlotName(uint64(epoch))); err != nil {
		t.Fatal(err)
	}
	if err := stream.Start(ctx, wal.Unnamed.SlotName(uint64(epoch)), 0); err != nil {
		t.Fatal(err)
	}
	a := &applier{Job: Job{Stream: stream, Board: status.NewBoard(prometheus.NewRegistry(), nil, time.Now())}, durable: &durable{}, stopped: make(chan struct{})}
	received := make(chan error)
	go func() {
		received <- stream.Run(&handler{ctx: ctx, queue: newQueue(epoch), projector: projection.NewProjector(epoch)})
	}()
	way.BlackHole(true)
	begun := time.Now()
	if err := a.acknowledge(ctx); !errors.Is(err, ErrSilent) {
		t.Errorf("%v", err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if err := <-received; err == nil {
		t.Error("the receiver ended without an error")
	}
}
