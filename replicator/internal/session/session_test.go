package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

func TestARebuildThatFailsAgainIsTriedEverMoreSeldom(t *testing.T) {
	var f failures
	torn, gone := fmt.Errorf("%w: %w", errRebuild, sink.ErrTorn), fmt.Errorf("%w: %w", errRebuild, errors.New("connection reset"))
	var waited time.Duration
	for range 12 {
		waited = f.next(torn, false)
	}
	if waited != lastRebuildBackoff {
		t.Errorf("after twelve failures %v", waited)
	}
	// P9: an error that may pass by itself is tried again soon. An error of another kind starts with the first pause.
	for range 12 {
		waited = f.next(gone, false)
	}
	if waited != lastBackoff {
		t.Errorf("after twelve lost connections %v", waited)
	}
	if waited = f.next(fmt.Errorf("%w: %w", errRebuild, projection.ErrTruncated), false); waited != firstRebuildBackoff {
		t.Errorf("for another reason %v", waited)
	}
	if waited = f.next(errors.New("x"), true); waited != firstBackoff {
		t.Errorf("after progress %v", waited)
	}
}

func newReplicator(t *testing.T, url string) *Replicator {
	t.Helper()
	return newReplicatorOn(t, url, testenv.StartRedis(t))
}

func newReplicatorOn(t *testing.T, url string, server *testenv.Redis) *Replicator {
	t.Helper()
	servers, err := wal.Servers(url)
	if err != nil {
		t.Fatal(err)
	}
	r := New(servers, &redis.Options{Addr: server.Addr()}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	t.Cleanup(func() { r.redis.Close() })
	return r
}

// A request that nobody takes is gone, so that it is not taken at a takeover days later.
func TestARequestThatNobodyTakesIsGone(t *testing.T) {
	r := newReplicator(t, "postgres://127.0.0.1:1/x")
	if err := r.RequestRebuild(false); !errors.Is(err, ErrBusy) {
		t.Errorf("%v", err)
	}
	r.take(request{older: true})
	(&session{Replicator: r, control: &control{node: wal.Node{Server: r.servers[0]}}}).waiting()()
	if r.forced != status.Resume || r.older {
		t.Errorf("a replicator that waits would still rebuild: %q, %v", r.forced, r.older)
	}
	if err := r.Ready(context.Background()); err != nil {
		t.Errorf("one that waits is ready: %v", err)
	}
	if err := r.RequestRebuild(false); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "waiting") {
		t.Errorf("%v", err)
	}
}

// A replicator forgets the reason for a rebuild once another replicator serves a newer epoch. A request of an operator
// stays.
func TestAReasonForARebuildIsOfItsEpoch(t *testing.T) {
	for _, c := range []struct {
		found, want status.Reason
		worked      readmodel.Epoch
	}{
		{status.PublicationChanged, status.PublicationChanged, 7},
		{status.PublicationChanged, status.PublicationChanged, 8}, // a rebuild that failed
		{status.PublicationChanged, status.Resume, 6},
		{status.Torn, status.Resume, 6},
		{status.Requested, status.Requested, 6}, // since
	} {
		r := &Replicator{forced: c.found, epoch: c.worked}
		cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_7", LSN: 1, Epoch: 7, Token: "a", Publication: "p"}
		r.succeed(state{stored: cp.String()})
		if r.forced != c.want || r.epoch < 7 {
			t.Errorf("found %q in epoch %d: %q, %d", c.found, c.worked, r.forced, r.epoch)
		}
		if r.succeed(state{}); r.forced != c.want {
			t.Errorf("without a checkpoint: %q", r.forced)
		}
	}
}

// P4: the slots of others, of other pipelines, of newer epochs and in use stay.
func TestOnlySlotsOfFormerEpochsAreDropped_P4(t *testing.T) {
	ctx := context.Background()
	db := testenv.NewDatabase(t)
	r := newReplicator(t, db.URL("replicator"))
	conn, err := pgx.Connect(ctx, db.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	// All databases of the cluster share the names of slots, so these are numbers that no other test uses.
	for _, name := range []string{"pyramid_debezium", "pyramid_green_12", "pyramid_11", "pyramid_12", "pyramid_13"} {
		db.Exec(t, "SELECT pg_create_logical_replication_slot($1, 'pgoutput')", name)
	}
	done, err := r.dropOrphanedSlots(ctx, conn, "pyramid_11", 13)
	if err != nil || !done {
		t.Fatalf("%v, %v", done, err)
	}
	slots, err := wal.Slots(ctx, conn)
	var left []string
	for _, s := range slots {
		left = append(left, s.Name)
	}
	if got := strings.Join(left, " "); err != nil || len(left) != 4 || strings.Contains(got, "pyramid_12") {
		t.Errorf("%s, %v", got, err)
	}
}

// A replicator ends the copies that a former one of its own pipeline has left, and those alone.
func TestOnlyCopiesOfThePipelineAreEnded_P9(t *testing.T) {
	r := newReplicator(t, testenv.NewDatabase(t).URL("replicator"))
	r.SetPipeline("green")
	s := reachIn(t, r)
	copies := map[wal.Pipeline]*pgx.Conn{}
	for _, p := range []wal.Pipeline{wal.Unnamed, "green", "green2"} {
		conn, err := s.control.node.Open(t.Context(), map[string]string{"application_name": snapshot.CopyName(p)})
		must(t, err)
		t.Cleanup(func() { conn.Close(context.Background()) })
		copies[p] = conn
	}
	must(t, s.control.endCopies(t.Context()))
	testenv.Eventually(t, time.Minute, "the copy of green is ended", func() bool { return copies["green"].Ping(t.Context()) != nil })
	for _, p := range []wal.Pipeline{wal.Unnamed, "green2"} {
		if err := copies[p].Ping(t.Context()); err != nil {
			t.Errorf("the copy of %s: %v", p, err)
		}
	}
}
