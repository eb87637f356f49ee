package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// R1: a size whose last bid was cancelled does not count as lost.
func TestASizeWithoutBidsIsForgotten_R1(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.reached()
	const bid = "INSERT INTO bids (raffle_id, user_id, size, price, created_at) VALUES (1, 1, 260, 5, now())"
	s.exec(bid)
	s.equal()
	s.exec("DELETE FROM bids")
	s.equal()
	s.exec(bid)
	s.equal()
	s.exec("BEGIN; DELETE FROM bids; " + bid + "; COMMIT")
	s.equal()
	s.exec("UPDATE bids SET size = 265")
	s.equal()
}

// P3, R1: if Redis has no room for two epochs, it ends up with the new one.
func TestFullRedisGivesTheOldEpochUp_P3(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.bids(60_000)
	s.replicate()
	s.equal()
	before := s.reached()
	s.Kill(t)
	_, text, _ := strings.Cut(s.redis.Info(s.ctx, "memory").Val(), "\nused_memory:")
	var used int64
	_, err := fmt.Sscan(text, &used)
	s.must(err)
	s.must(s.redis.Do(s.ctx, "config", "set", "maxmemory", used*5/4).Err())
	testenv.EventuallyNoError(t, patience, "drop the slot", func() error {
		_, err := s.db.Exec(s.ctx, "SELECT pg_drop_replication_slot($1)", before.Slot)
		return err
	})
	s.bids(100)
	s.Start(t)
	s.equal()
	if st := s.report(); !strings.Contains(s.Output(), "OOM command") || st.Rebuilds < 2 {
		t.Errorf("it was not full: %+v", st)
	}
}

// P3: a Redis that is so full at the start that it does not even take a token is rebuilt, too.
func TestRedisThatIsFullAtTheStartIsRebuilt_P3(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.bids(60_000)
	s.replicate()
	s.equal()
	before := s.reached()
	s.Kill(t)
	testenv.EventuallyNoError(t, patience, "drop the slot", func() error {
		_, err := s.db.Exec(s.ctx, "SELECT pg_drop_replication_slot($1)", before.Slot)
		return err
	})
	s.must(s.redis.ConfigSet(s.ctx, "maxmemory", "2mb").Err())
	s.Start(t)
	testenv.Eventually(t, patience, "the old epoch is given up", func() bool { return s.redis.DBSize(s.ctx).Val() < 20 })
	s.must(s.redis.ConfigSet(s.ctx, "maxmemory", "0").Err())
	s.equal()
}

// R1: if keys were evicted while no replicator ran, that is noticed even though the policy is right again.
func TestEvictionsBetweenTwoProcessesAreNoticed_R1(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.bids(1000)
	s.replicate()
	s.equal()
	s.Stop(t)
	cp := s.redis.Get(s.ctx, readmodel.CheckpointKey).Val()
	for _, set := range [][2]string{{"maxmemory-policy", "allkeys-lru"}, {"maxmemory", "1"}} {
		s.must(s.redis.ConfigSet(s.ctx, set[0], set[1]).Err())
	}
	testenv.Eventually(t, patience, "something is evicted", func() bool {
		return !strings.Contains(s.redis.Info(s.ctx, "stats").Val(), "evicted_keys:0")
	})
	for _, set := range [][2]string{{"maxmemory", "0"}, {"maxmemory-policy", "noeviction"}} {
		s.must(s.redis.ConfigSet(s.ctx, set[0], set[1]).Err())
	}
	s.must(s.redis.Set(s.ctx, readmodel.CheckpointKey, cp, 0).Err()) // as if other keys had been evicted
	s.Start(t)
	testenv.Eventually(t, patience, "a rebuild", func() bool { return s.report().Rebuilds == 1 })
	s.because(status.Evicted)
	s.equal()
	s.Stop(t)
	s.bids(10)
	s.Start(t)
	s.equal()
	if n := s.report().Rebuilds; n != 0 {
		t.Errorf("%d rebuilds because of keys that were evicted before the last one", n)
	}
}

// R1: if Redis does not take RESTORE, a rebuild writes the same by ZADD.
func TestARebuildWithoutRestore_R1(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.must(s.redis.Do(s.ctx, "ACL", "SETUSER", "default", "-restore").Err())
	s.bids(5000)
	s.replicate()
	s.equal()
	s.bids(100)
	s.equal()
	if !strings.Contains(s.Output(), "does not take serialised sets") {
		t.Error("it was not noticed")
	}
}

// P3: a requested rebuild is refused if Redis has no room for two epochs, and the stream goes on.
func TestARequestedRebuildNeedsRoom_P3(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.bids(60_000)
	s.exec("ANALYZE bids")
	s.replicate()
	before := s.equal()
	_, text, _ := strings.Cut(s.redis.Info(s.ctx, "memory").Val(), "\nused_memory:")
	var used int64
	_, err := fmt.Sscan(text, &used)
	s.must(err)
	s.must(s.redis.ConfigSet(s.ctx, "maxmemory", fmt.Sprint(used+2<<20)).Err())
	s.expect("rebuild", 1, "no room", "maxmemory")
	s.bids(100)
	if c := s.equal(); c.Epoch != before.Epoch || c.Token != before.Token {
		t.Errorf("%s after %s", c, before)
	}
	// A rebuild that is necessary takes the room of the old epoch, which is removed before anything is copied.
	s.Kill(t)
	testenv.EventuallyNoError(t, patience, "drop the slot", func() error {
		_, err := s.db.Exec(s.ctx, "SELECT pg_drop_replication_slot($1)", before.Slot)
		return err
	})
	s.Start(t)
	s.equal()
	if out := s.Output(); !strings.Contains(out, "no room for a rebuild beside the served epoch") || strings.Contains(out, "OOM command") {
		t.Error("it was found out by copying")
	}
}

func TestEvictingRedisIsRefused_R1(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.must(s.redis.ConfigSet(s.ctx, "maxmemory-policy", "allkeys-lru").Err())
	s.replicate()
	testenv.Eventually(t, patience, "the policy is refused", func() bool {
		return strings.Contains(s.report().LastError, "noeviction")
	})
	if s.streaming() {
		t.Error("ready with an evicting Redis")
	}
	s.must(s.redis.ConfigSet(s.ctx, "maxmemory-policy", "noeviction").Err())
	s.equal()
}
