package test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// beside is another pipeline of the same database, with a Redis of its own and no replicator yet.
func (s *system) beside() *system {
	s.t.Helper()
	o := &system{t: s.t, ctx: s.ctx, db: s.db, dbs: s.dbs, server: testenv.StartRedis(s.t)}
	o.redis = redis.NewClient(&redis.Options{Addr: o.server.Addr()})
	s.t.Cleanup(func() { o.redis.Close() })
	return o
}

// slotNames are the slots of the database that belong to pipelines.
func (s *system) slotNames() (names []string) {
	s.t.Helper()
	rows, err := s.db.Query(s.ctx, "SELECT slot_name::text FROM pg_replication_slots WHERE database = current_database() AND starts_with(slot_name::text, 'pyramid_') ORDER BY 1")
	s.must(err)
	names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	return names
}

// Blue and green: a second pipeline fills a new Redis beside the first, under changes and faults, and then the first is
// removed.
func TestTwoPipelinesFillTwoRedis_P2_P8_P9(t *testing.T) {
	t.Parallel()
	blue := newSystem(t, testenv.NewDatabase(t))
	blue.replicate()
	blue.bids(500)
	green := blue.beside()
	green.replicate("PIPELINE=green")
	other, err := pgx.Connect(blue.ctx, blue.dbs.URL("postgres"))
	blue.must(err)
	t.Cleanup(func() { other.Close(blue.ctx) })
	h := &history{worker: &worker{system: blue, other: other}, random: rand.New(rand.NewPCG(uint64(fromEnv(t, "HISTORY_SEED", 1)), 2))}
	for i := range 60 {
		e := changes[h.random.IntN(len(changes))]
		t.Logf("%s", e.name)
		e.do(h)
		switch i {
		case 15:
			green.Kill(t)
			green.Start(t)
		case 30:
			blue.must(blue.redis.FlushAll(blue.ctx).Err())
		case 45:
			green.equal() // it may be rebuilding already
			green.expect("rebuild", 0, "is served in place of")
		}
	}
	b, g := blue.equal(), green.equal()
	if want := []string{b.Slot, g.Slot}; !slices.Equal(blue.slotNames(), want) || !strings.HasPrefix(g.Slot, "pyramid_green_") || strings.HasPrefix(b.Slot, "pyramid_green_") {
		t.Errorf("slots %v, want %v", blue.slotNames(), want)
	}
	if st := green.report(); st.Pipeline != "green" || st.State != status.Streaming {
		t.Errorf("%+v", st)
	}
	blue.removed(green)
}

// removed removes a pipeline while the other one goes on.
func (s *system) removed(stays *system) {
	s.t.Helper()
	s.expect("drop --redis", 1, "a replicator of the pipeline works")
	s.Stop(s.t)
	s.bids(100)
	at := s.position()
	foreign := at
	foreign.SystemID++
	s.must(s.redis.Set(s.ctx, readmodel.CheckpointKey, foreign.String(), 0).Err())
	s.expect("drop --redis", 1, fmt.Sprintf("another system: %d, and PRIMARY_URL leads to %d", foreign.SystemID, at.SystemID))
	if s.position() != foreign || !slices.Contains(s.slotNames(), at.Slot) {
		s.t.Errorf("a refused drop has removed something: slots %v", s.slotNames())
	}
	s.must(s.redis.Set(s.ctx, readmodel.CheckpointKey, at.String(), 0).Err())
	s.expect("drop --redis", 0, "the unnamed pipeline: removed the slots pyramid_", " keys")
	if g := stays.equal(); !slices.Equal(s.slotNames(), []string{g.Slot}) {
		s.t.Errorf("slots %v, want %s alone", s.slotNames(), g.Slot)
	}
	if n, err := s.redis.DBSize(s.ctx).Result(); err != nil || n != 0 {
		s.t.Errorf("%d keys are left, %v", n, err)
	}
	s.expect("drop", 0, "removed no slots")
	stays.Stop(s.t)
	stays.expect("drop --redis", 1, "another pipeline: pipeline green")
	if left := s.slotNames(); len(left) != 1 {
		s.t.Errorf("a refused drop has removed slots: %v", left)
	}
	p := testenv.StartProcess(s.t, testenv.Process{Path: testenv.Binary(s.t, "./replicator"), Args: []string{"drop"}, Env: []string{
		"PIPELINE=green", "PRIMARY_URL=" + s.dbs.URL("replicator")}})
	if status := p.Wait(s.t); status != 0 || len(s.slotNames()) != 0 {
		s.t.Errorf("exit status %d, slots %v\n%s", status, s.slotNames(), p.Output())
	}
}

// Two pipelines can't share a Redis. The second says so and changes nothing, whether the first is at work, is stopped, or
// is of a release that left no name.
func TestTwoPipelinesCanNotShareARedis_P2(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	first := s.replicate()
	s.bids(100)
	before := s.equal()
	s.own("PIPELINE=green")
	refused := func() {
		t.Helper()
		testenv.Eventually(t, patience, "the second is refused", func() bool {
			return strings.Contains(s.report().LastError, "another pipeline: the unnamed pipeline; this is pipeline green: set PIPELINE or REDIS_URL right")
		})
	}
	refused()
	if s.streaming() {
		t.Error("it says that it is ready")
	}
	if now := s.equal(); now.Token != before.Token || now.Epoch != before.Epoch {
		t.Errorf("%s after %s", now, before)
	}
	first.Stop(t)
	at := s.position()
	s.must(s.redis.Del(s.ctx, readmodel.PipelineKey).Err())
	s.Kill(t)
	s.Start(t)
	refused()
	if now := s.position(); now != at || s.redis.Exists(s.ctx, readmodel.PipelineKey).Val() != 0 {
		t.Errorf("%s after %s", now, at)
	}
	// An emptied Redis belongs to nobody.
	s.must(s.redis.FlushAll(s.ctx).Err())
	if g := s.equal(); !strings.HasPrefix(g.Slot, "pyramid_green_") || s.redis.Get(s.ctx, readmodel.PipelineKey).Val() != "green" {
		t.Errorf("%s", g)
	}
}

// list reads the bids of raffle 1 in size 270 through a query, and returns the path that answered.
func (s *system) list(r *readers) (path, body string) {
	s.t.Helper()
	response, err := r.client.Get(r.url + "/v1/raffles/1/bids?size=270&limit=2000")
	s.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	s.must(err)
	return response.Header.Get("Read-Path"), string(text)
}

// Readers leave a Redis that is paused, come back to it, and find the same in the new Redis of another pipeline.
func TestReadersGoFromOneRedisToAnother_R5_P7(t *testing.T) {
	t.Parallel()
	blue := newSystem(t, testenv.NewDatabase(t))
	blue.replicate()
	blue.bids(1000)
	green := blue.beside()
	green.replicate("PIPELINE=green")
	blue.equal()
	before := blue.startReaders(0, nil)
	from := func(r *readers, redis bool) {
		t.Helper()
		testenv.EventuallyNoError(t, patience, "another path", func() error {
			if path, _ := blue.list(r); (path == "redis") != redis {
				return fmt.Errorf("the path is %s", path)
			}
			return nil
		})
	}
	from(before, true)
	blue.expect("pause", 0, "paused")
	from(before, false)
	blue.expect("resume", 0, "resumed")
	from(before, true)
	green.equal()
	after := green.startReaders(0, nil)
	from(after, true)
	_, old := blue.list(before)
	want := len(blue.ids("SELECT id FROM bids WHERE raffle_id = 1 AND size = 270"))
	if path, now := blue.list(after); path != "redis" || now != old || strings.Count(now, `"id":`) != want {
		t.Errorf("%s answers\n%s\nbefore it was\n%s", path, now, old)
	}
}
