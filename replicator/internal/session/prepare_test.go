package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/apply"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reachIn reaches the primary in a new session. The connections end with the test.
func reachIn(t *testing.T, r *Replicator) *session {
	t.Helper()
	s := &session{Replicator: r}
	must(t, s.reach(t.Context()))
	t.Cleanup(s.close)
	stream, err := s.control.node.Stream(t.Context(), nil)
	must(t, err)
	s.stream = stream
	return s
}

// P13: a step of the set-up is given up when its time is over.
func TestTheSetUpIsBounded_P13(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := within(ctx, time.Millisecond, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	if !errors.Is(err, errSetUp) {
		t.Errorf("%v", err)
	}
	own := errors.New("its own")
	if err := within(t.Context(), time.Hour, func(context.Context) error { return own }); !errors.Is(err, own) || errors.Is(err, errSetUp) {
		t.Errorf("%v", err)
	}
}

// The error that ends a session says whether the read model is still true, and what the next session must do.
func TestWhatAnErrorLeadsTo_P4(t *testing.T) {
	for err, want := range map[error]struct {
		forced status.Reason
		untrue bool
	}{
		projection.ErrTruncated: {status.Truncated, false}, sink.ErrTorn: {status.Torn, true}, errEvicted: {status.Evicted, true}, apply.ErrForgot: {status.PrimaryForgot, true},
		wal.ErrPublicationChanged: {status.PublicationChanged, true}, apply.ErrSilent: {status.Requested, false}, errNewer: {status.Requested, false}, sink.ErrFenced: {status.Requested, false},
	} {
		err := fmt.Errorf("%w: %w", errRebuild, err)
		if got := forces(err, status.Requested); got != want.forced || untrue(err) != want.untrue {
			t.Errorf("%v: %q, untrue %v", err, got, untrue(err))
		}
	}
}

// evicts makes Redis evict a key. The policy stays wrong.
func evicts(t *testing.T, r *Replicator) {
	t.Helper()
	ctx := t.Context()
	must(t, r.redis.Set(ctx, "a", "b", 0).Err())
	must(t, r.redis.ConfigSet(ctx, "maxmemory-policy", "allkeys-lru").Err())
	must(t, r.redis.ConfigSet(ctx, "maxmemory", "1").Err())
	testenv.Eventually(t, 10*time.Second, "a key is evicted", func() bool { return r.redis.DBSize(ctx).Val() == 0 })
	must(t, r.redis.ConfigSet(ctx, "maxmemory", "0").Err())
}

// R1: evictions are noticed even if the policy was wrong for less than a second.
func TestEvictionsDuringASessionAreNoticed_R1(t *testing.T) {
	ctx := t.Context()
	r := newReplicator(t, "postgres://127.0.0.1:1/x")
	must(t, r.checkEvictions(ctx))
	must(t, r.evictsNothing(ctx))
	evicts(t, r)
	if err := r.evictsNothing(ctx); !errors.Is(err, redisinfo.ErrEvicts) {
		t.Errorf("%v", err)
	}
	must(t, r.redis.ConfigSet(ctx, "maxmemory-policy", "noeviction").Err())
	if err := r.evictsNothing(ctx); !errors.Is(err, errEvicted) {
		t.Errorf("%v", err)
	}
}

// P1: a crash cuts off the append-only file within a write. After the next start nothing of that write is there, and
// everything of the write after it.
func TestAFileThatACrashHasTornIsWrittenAnew_P1(t *testing.T) {
	ctx := t.Context()
	server := testenv.StartRedis(t)
	r := newReplicatorOn(t, "postgres://127.0.0.1:1/x", server)
	flush := func(key string) {
		t.Helper()
		_, err := r.redis.TxPipelined(ctx, func(p redis.Pipeliner) error { return p.Set(ctx, key, 1, 0).Err() })
		must(t, err)
	}
	flush("first")
	server.Kill(t)
	files, err := filepath.Glob(filepath.Join(server.Dir(), "appendonlydir", "*.incr.aof"))
	must(t, err)
	file, err := os.OpenFile(files[0], os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteString("*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$4\r\ntorn\r\n$1\r\n1\r\n*3\r\n$3\r\nSE")
	must(t, errors.Join(err, file.Close()))
	server.Start(t)
	if err := (&session{Replicator: r, control: &control{node: wal.Node{Server: r.servers[0]}}}).prepare(ctx); err == nil { // fails at the primary
		t.Error("a session without a primary")
	}
	testenv.Eventually(t, time.Minute, "the file is written anew", func() bool {
		info, err := redisinfo.Read(ctx, r.redis)
		return err == nil && info["aof_rewrites"] == "1" && info["aof_rewrite_in_progress"] == "0"
	})
	must(t, r.rewrite(ctx)) // once is enough
	flush("second")
	server.Kill(t)
	server.Start(t)
	if keys := r.redis.Keys(ctx, "*").Val(); len(keys) != 3 || r.redis.Exists(ctx, "first", "second", readmodel.PipelineKey).Val() != 3 {
		t.Errorf("after the next start there are %v", keys)
	}
}

// R1: a session refuses a Redis that may evict. One that has evicted keys leads to one rebuild.
func TestASessionBeginsWithAWholeRedis_R1(t *testing.T) {
	ctx := t.Context()
	r := newReplicator(t, "postgres://127.0.0.1:1/x")
	s := &session{Replicator: r} // Redis is looked at before the primary
	evicts(t, r)
	r.forced, r.epoch = status.Torn, 4
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", Epoch: 5, Token: "a"}
	must(t, r.redis.Set(ctx, readmodel.CheckpointKey, cp.String(), 0).Err())
	if err := s.prepare(ctx); !errors.Is(err, redisinfo.ErrEvicts) {
		t.Errorf("%v", err)
	}
	if r.forced != status.Resume {
		t.Errorf("what was found in epoch 4 counts in epoch 5: %q", r.forced)
	}
	must(t, r.redis.ConfigSet(ctx, "maxmemory-policy", "noeviction").Err())
	if must(t, r.checkEvictions(ctx)); r.forced != status.Evicted {
		t.Errorf("the next session: %q", r.forced)
	}
	must(t, r.evictsNothing(ctx)) // the next rebuild replaces these keys, so they end no session
	r.forced = status.Resume
	must(t, r.redis.Set(ctx, readmodel.EvictionsKey, r.evictions, 0).Err())
	if must(t, r.checkEvictions(ctx)); r.forced != status.Resume {
		t.Errorf("after the rebuild: %q", r.forced)
	}
}

// P10: of several primaries the one whose system is that of the read model is followed. The connections of a session
// must lead to one server.
func TestASessionIsWithOneServer_P10(t *testing.T) {
	ctx := t.Context()
	own, other := testenv.StartPostgres(t), testenv.StartPostgres(t, testenv.Fresh())
	r := newReplicator(t, testenv.MultiHostURL(other.URL("replicator"), own.URL("replicator")))
	s := reachIn(t, r)
	stranger := s.stream
	ours, err := r.servers[1].Stream(ctx, nil)
	must(t, err)
	defer ours.Close()
	system, err := ours.Identify(ctx)
	must(t, err)
	if s.control.node.System == system.ID {
		t.Errorf("without a read model the second server was chosen")
	}
	cp := readmodel.Checkpoint{SystemID: system.ID, Timeline: 1, Slot: "pyramid_5", Epoch: 5, Token: "a"}
	must(t, r.redis.Set(ctx, readmodel.CheckpointKey, cp.String(), 0).Err())
	s = reachIn(t, r)
	c := s.control
	if c.node.System != system.ID {
		t.Errorf("the read model's system was not preferred")
	}
	must(t, c.leadsTo(ctx, ours, system))
	otherSystem, otherTimeline := system, system
	otherSystem.ID++
	otherTimeline.Timeline++
	for _, err := range []error{c.leadsTo(ctx, stranger, system), c.leadsTo(ctx, ours, otherSystem), c.leadsTo(ctx, ours, otherTimeline)} {
		if !errors.Is(err, errServer) {
			t.Errorf("a stream of another server: %v", err)
		}
	}
	s.stream = stranger
	if _, err := s.inspect(ctx); !errors.Is(err, errServer) {
		t.Errorf("a stream of another server is used: %v", err)
	}
	moved := c.node
	moved.Server = r.servers[0]
	if _, err := openControl(ctx, moved, wal.Unnamed); !errors.Is(err, errServer) {
		t.Errorf("the address leads to another server: %v", err)
	}
}

// P9: a successor ends the walsender that its predecessor left. It never ends one of another system that has a slot of
// the same name.
func TestOnlyTheWalsenderOfTheReadModelIsEnded_P9(t *testing.T) {
	ctx := t.Context()
	db := testenv.NewDatabase(t)
	r := newReplicator(t, db.URL("replicator"))
	s := reachIn(t, r)
	c := s.control
	former, err := c.node.Stream(ctx, nil)
	must(t, err)
	defer former.Close()
	const epoch = 31
	_, _, err = former.CreateSlot(ctx, wal.Unnamed.SlotName(uint64(epoch)))
	must(t, err)
	must(t, former.Start(ctx, wal.Unnamed.SlotName(uint64(epoch)), 0))
	system, err := s.stream.Identify(ctx)
	must(t, err)
	cp := readmodel.Checkpoint{SystemID: system.ID + 1, Timeline: 1, Slot: wal.Unnamed.SlotName(uint64(epoch)), Epoch: epoch, Token: "a"}
	active := func() bool {
		slots, err := wal.Slots(ctx, c.conn)
		must(t, err)
		return state{slots: slots}.slot(cp.Slot).ActivePID != 0
	}
	inspect := func() {
		must(t, r.redis.Set(ctx, readmodel.CheckpointKey, cp.String(), 0).Err())
		_, err := s.inspect(ctx)
		must(t, err)
	}
	if inspect(); !active() {
		t.Error("the walsender of another system's slot was ended")
	}
	cp.SystemID = system.ID
	if inspect(); active() {
		t.Error("the walsender that was left is not ended")
	}
	former.Close()
	must(t, wal.Drop(ctx, c.conn, cp.Slot))
}

// P10: a slot that has survived a promotion continues on the new timeline. An old epoch that is only served keeps its
// timeline.
func TestAResumedReadModelGoesOnOnTheTimelineOfThePrimary_P10(t *testing.T) {
	r := newReplicator(t, "postgres://127.0.0.1:1/x")
	cp := readmodel.Checkpoint{SystemID: 1, Timeline: 1, Slot: "pyramid_5", LSN: 9, Epoch: 5, Token: "old"}
	for reason, want := range map[status.Reason]uint32{status.Resume: 2, status.Failover: 1} {
		must(t, r.redis.Set(t.Context(), readmodel.CheckpointKey, cp.String(), 0).Err())
		s := &session{Replicator: r, state: state{stored: cp.String(), system: wal.System{ID: 1, Timeline: 2}}, reason: reason, token: "new"}
		f, claimed, err := s.claim(t.Context())
		must(t, err)
		must(t, f.Close())
		if served, _ := r.board.Served(); claimed.Timeline != want || served != claimed {
			t.Errorf("%q: %s, and the status has %s", reason, claimed, served)
		}
	}
}

// The next session takes a request that an operator makes between two sessions.
func TestARequestIsTakenByTheNextSession(t *testing.T) {
	r := newReplicator(t, testenv.NewDatabase(t).URL("replicator"))
	s := reachIn(t, r)
	asked := make(chan error, 1)
	go func() { asked <- r.RequestRebuild(true) }()
	testenv.Eventually(t, 10*time.Second, "the request is taken", func() bool {
		s.stream.Close()
		must(t, s.prepare(t.Context()))
		return s.state.forced == status.Requested && r.older
	})
	must(t, <-asked)
}
