package main

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const someBids = "/v1/raffles/1/bids?size=270&limit=5"

// R1: if Redis can't prove that it holds the whole answer, the next path answers, with the right rows.
func TestIncompleteReadModelIsNotServed_R1(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	e := s.checkpoint.Epoch
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	remove := func(keys ...string) func() { return func() { must(s.rdb.Del(t.Context(), keys...).Err()) } }
	change := func(f func(*readmodel.Checkpoint)) func() { return func() { s.setCheckpoint(t, f) } }
	// anew leaves one member of a set, as if the set had been lost and the member added since.
	anew := func(key string, score float64) {
		member := s.rdb.ZRange(t.Context(), key, 1, 1).Val()[0]
		must(s.rdb.Del(t.Context(), key).Err())
		must(s.rdb.ZAdd(t.Context(), key, z(member, score)).Err())
	}
	const all, best = "/v1/raffles/1/bids", "/v1/raffles/1/best"
	const detail, list, search = "/v1/raffles/1", "/v1/raffles", "/v1/raffles?q=m1&expand=product"
	for _, c := range []struct {
		name   string
		breaks func()
		asks   []string
	}{
		{"no checkpoint", remove(readmodel.CheckpointKey), []string{someBids, detail, list, all, best}},
		{"half applied", change(func(c *readmodel.Checkpoint) { c.Applying = true }), []string{someBids, detail, list}},
		{"flushed", func() { must(s.rdb.FlushAll(t.Context()).Err()) }, []string{someBids, detail, list}},
		{"flushed, checkpoint back", func() { must(s.rdb.FlushAll(t.Context()).Err()); s.setCheckpoint(t, func(*readmodel.Checkpoint) {}) },
			[]string{someBids, detail, list, "/v1/raffles/1/bids?size=255"}},
		{"another epoch that is empty", change(func(c *readmodel.Checkpoint) { c.Epoch = 77 }), []string{someBids, detail, list}},
		{"another database", change(func(c *readmodel.Checkpoint) { c.SystemID++ }), []string{someBids, detail, list}},
		{"corrupt checkpoint", func() { must(s.rdb.Set(t.Context(), readmodel.CheckpointKey, "1 2 3", 0).Err()) }, []string{someBids}},
		{"newest lost", remove(e.Newest(1, 270)), []string{someBids, all}},
		{"highest lost", remove(e.Highest(1, 270)), []string{someBids + "&order=highest", detail, best}},
		// ZADD makes a lost set anew, with only the members that come from then on.
		{"newest lost and begun anew", func() { anew(e.Newest(1, 270), 1e15) }, []string{someBids, all}},
		{"highest lost and begun anew", func() { anew(e.Highest(1, 270), -7) }, []string{someBids + "&order=highest", detail, best}},
		{"size lost and begun anew", func() { anew(e.SizeNewest(270), 1e15) }, []string{"/v1/bids?size=270"}},
		{"floor lost", remove(e.SizeFloor(270)), []string{"/v1/bids?size=270"}},
		{"raffles lost and begun anew", func() {
			anew(e.Raffles(), 1e15)
			must(s.rdb.Append(t.Context(), e.RafflesVersion(), "+").Err()) // so that query's catalogue is not used
		}, []string{list}},
		{"products lost and begun anew", func() {
			entry := s.rdb.HGet(t.Context(), e.Products(), "2").Val()
			must(s.rdb.Del(t.Context(), e.Products()).Err())
			must(s.rdb.HSet(t.Context(), e.Products(), "2", entry).Err())
			must(s.rdb.Append(t.Context(), e.RafflesVersion(), "+").Err())
		}, []string{detail, "/v1/products/2", "/v1/products", search}},
		{"sizes lost", remove(e.Sizes(1)), []string{"/v1/raffles/1/bids?size=255", detail, all, best}},
		{"raffle lost", remove(e.Raffle(1)), []string{detail, best}},
		{"raffles lost", remove(e.Raffles(), e.RafflesVersion()), []string{list, search}},
		{"size lost", remove(e.SizeNewest(270)), []string{"/v1/bids?size=270"}},
		{"member of another make over all raffles", func() { must(s.rdb.ZAdd(t.Context(), e.SizeNewest(270), z("x", 1e17)).Err()) }, []string{"/v1/bids?size=270"}},
		{"products lost", remove(e.Products(), e.RafflesVersion()), []string{detail, "/v1/products/2", "/v1/products", search}},
		{"member of another make", func() { must(s.rdb.ZAdd(t.Context(), e.Newest(1, 270), z("x", 1e17)).Err()) }, []string{someBids}},
		{"key of another type", func() { must(s.rdb.Set(t.Context(), e.Newest(1, 270), "x", 0).Err()) }, []string{someBids}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := map[string]string{}
			for _, ask := range c.asks {
				want[ask] = cursorPart.ReplaceAllString(s.expect(t, http.StatusOK, "redis", ask).body, "")
			}
			c.breaks()
			for _, ask := range c.asks {
				if got := s.expect(t, http.StatusOK, "replica", ask); cursorPart.ReplaceAllString(got.body, "") != want[ask] {
					t.Errorf("R1: %s answers %.300s", ask, got.body)
				}
				s.expect(t, http.StatusServiceUnavailable, "", ask, "Read-Path", "redis")
			}
			must(s.rdb.FlushAll(t.Context()).Err())
			s.load(t, e, "token-1")
		})
	}
}

// R1: a set that is lost between two pages does not end the list.
func TestLostSetDoesNotEndThePaging_R1(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	for _, order := range []string{"newest", "highest"} {
		p := decode[bidPage](t, s.expect(t, http.StatusOK, "redis", someBids+"&order="+order))
		key := s.checkpoint.Epoch.Newest(1, 270)
		if order == "highest" {
			key = s.checkpoint.Epoch.Highest(1, 270)
		}
		if err := s.rdb.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
		a := s.get(t, someBids+"&order="+order+"&cursor="+*p.NextCursor)
		if next := decode[bidPage](t, a); a.path() == "redis" || len(next.Bids) != 5 {
			t.Errorf("R1: %s: %q answers %s", order, a.path(), a.body)
		}
	}
	p := decode[rafflePage](t, s.expect(t, http.StatusOK, "redis", "/v1/raffles?limit=3"))
	if err := s.rdb.Del(t.Context(), s.checkpoint.Epoch.Raffles()).Err(); err != nil {
		t.Fatal(err)
	}
	s.expect(t, http.StatusOK, "replica", "/v1/raffles?limit=3&cursor="+*p.NextCursor)
}

// R1: a switch to another epoch takes effect at once, and an evicting Redis is not used.
func TestEpochSwitchAndEviction_R1(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.load(t, 2, "token-2")
	s.expect(t, http.StatusOK, "redis", someBids)
	s.expect(t, http.StatusOK, "redis", "/v1/raffles/1")

	set := func(policy string) {
		t.Helper()
		if err := s.rdb.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
	}
	from := func(path string) func() bool { return func() bool { return s.get(t, someBids).path() == path } }
	set("allkeys-lru")
	testenv.Eventually(t, patience, "an evicting Redis is left", from("replica"))
	set("noeviction")
	testenv.Eventually(t, patience, "Redis is used again", from("redis"))
}

// R2: a read waits for its Min-LSN, then asks the next path, and at last the primary.
func TestMinLSN_R2(t *testing.T) {
	s := startStack(t)
	s.expect(t, http.StatusOK, "redis", someBids, "Min-LSN", s.checkpoint.LSN.String())

	t.Run("waits for Redis", func(t *testing.T) {
		s.sqlBid(t) // the primary is beyond what Redis shows
		target := s.lsn(t)
		before := s.checkpointReads(t)
		var done sync.WaitGroup
		for range 20 { // one poller wakes them all
			done.Go(func() {
				s.expect(t, http.StatusOK, "redis", someBids, "Min-LSN", target.String(), "Read-Path", "redis")
			})
		}
		testenv.Eventually(t, patience, "all wait and are polled for", func() bool { return s.checkpointReads(t) > before+2*20+5 })
		s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN = target })
		done.Wait()
	})
	t.Run("takes the next path", func(t *testing.T) {
		s.sqlBid(t)
		s.standby.WaitReplay(t)
		min := s.lsn(t).String()
		s.standby.WaitReplay(t)
		s.expect(t, http.StatusOK, "replica", someBids, "Min-LSN", min)
		s.expect(t, http.StatusServiceUnavailable, "", someBids, "Min-LSN", min, "Read-Path", "redis")
		s.expect(t, http.StatusOK, "redis", someBids)
	})
	t.Run("falls to the primary", func(t *testing.T) {
		s.pauseReplay(t)
		s.sqlBid(t)
		a := s.expect(t, http.StatusOK, "primary", someBids, "Min-LSN", s.lsn(t).String())
		if a.took > 2*time.Second {
			t.Errorf("R2: took %v", a.took)
		}
		s.expect(t, http.StatusServiceUnavailable, "", someBids, "Min-LSN", s.lsn(t).String(), "Read-Path", "standby")
		s.resumeReplay(t)
	})
	t.Run("beyond the primary", func(t *testing.T) {
		a := s.expect(t, http.StatusUnprocessableEntity, "", someBids, "Min-LSN", "FFFFFF/0")
		if p := problemOf(t, a); len(p.Errors) != 1 || p.Errors[0].Field != "Min-LSN" {
			t.Errorf("R2: %+v", p)
		}
		s.primary.Stop(t)
		a = s.get(t, someBids, "Min-LSN", "FFFFFF/0")
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("R2: without a primary: %d %s", a.status, a.body)
		}
	})
}

// R2, R4: a cursor carries the first page's position, and every later page has reached it.
func TestCursorImpliesItsPosition_R2(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	s.sqlBid(t)
	s.standby.WaitReplay(t)
	p := decode[bidPage](t, s.expect(t, http.StatusOK, "primary", someBids, "Read-Path", "primary"))
	s.standby.WaitReplay(t)
	p = decode[bidPage](t, s.expect(t, http.StatusOK, "replica", someBids+"&cursor="+*p.NextCursor))
	s.expect(t, http.StatusOK, "replica", someBids+"&cursor="+*p.NextCursor)
	s.expect(t, http.StatusServiceUnavailable, "", someBids+"&cursor="+*p.NextCursor, "Read-Path", "redis")

	lsn := s.checkpoint.LSN
	s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN = 1 << 60 })
	p = decode[bidPage](t, s.expect(t, http.StatusOK, "redis", someBids))
	s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN = lsn })
	a := s.get(t, someBids+"&cursor="+*p.NextCursor)
	checkProblem(t, "a cursor of a history that was lost", a, http.StatusConflict, "cursor")
}

// R6: a Redis that hangs, is dead or fails costs a read its budget at most. The breaker spares later reads, and
// everything recovers by itself.
func TestRedisFails_R6(t *testing.T) {
	s := startStack(t)
	for _, c := range []struct {
		name         string
		breaks, ends func(testing.TB)
	}{
		{"hangs", s.redis.Pause, s.redis.Resume},
		{"is killed", s.redis.Kill, s.redis.Start},
		{"refuses", func(t testing.TB) { s.maxClients(t, "1") }, func(t testing.TB) { s.maxClients(t, "1000") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			testenv.Eventually(t, patience, "Redis answers", func() bool { return s.get(t, someBids).path() == "redis" })
			c.breaks(t)
			var slow int
			for range 30 {
				// The budget of Redis, and as much as a busy test machine takes for the rest.
				if a := s.expect(t, http.StatusOK, "replica", someBids); a.took > 50*time.Millisecond+500*time.Millisecond {
					t.Errorf("R6: took %v", a.took)
				} else if a.took > 45*time.Millisecond {
					slow++
				}
			}
			if slow > 10 {
				t.Errorf("R6: %d of 30 reads waited for Redis: the breaker did not open", slow)
			}
			c.ends(t)
			testenv.Eventually(t, patience, "Redis is used again", func() bool { return s.get(t, someBids).path() == "redis" })
		})
	}
}

// R6, W4: a crowd of readers does not queue up for a Redis that hangs, one budget after the other.
func TestCrowdWhileRedisHangs_R6(t *testing.T) {
	s := startStack(t)
	s.redis.Pause(t)
	start := time.Now()
	var done sync.WaitGroup
	for range 200 {
		done.Go(func() {
			if a := s.get(t, someBids); a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
				t.Errorf("R6: %d: %s", a.status, a.body)
			}
		})
	}
	done.Wait()
	if n := s.tries(t, "redis", "failed"); n == 0 {
		t.Error("R6: no read waited for Redis")
	}
	// One after the other they would take 10 s.
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("R6: the crowd took %v", took)
	}
	if a := s.get(t, someBids); a.status != http.StatusOK {
		t.Errorf("R6: after the crowd: %d %s", a.status, a.body)
	}
	s.redis.Resume(t)
}

// R6: each path stands in for the one before it. Without any of them a 503 says when to retry.
func TestPathsFailOneAfterTheOther_R6(t *testing.T) {
	s := startStack(t)
	s.redis.Kill(t)
	s.expect(t, http.StatusOK, "replica", someBids)
	s.pgpool.Pause(t)
	s.expect(t, http.StatusOK, "standby", someBids)
	s.expect(t, http.StatusNotFound, "standby", "/v1/raffles/4711")
	s.standby.Kill(t)
	a := s.get(t, someBids)
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || problemOf(t, a).Title == "" {
		t.Errorf("all down: %d %s", a.status, a.body)
	}
	for _, p := range allPaths[:3] {
		s.expect(t, http.StatusServiceUnavailable, "", someBids, "Read-Path", p)
	}
	s.expect(t, http.StatusOK, "primary", someBids, "Read-Path", "primary")
	s.standby.Start(t)
	testenv.Eventually(t, patience, "the standby answers again", func() bool { return s.get(t, someBids).path() == "standby" })
	s.pgpool.Resume(t)
	// A pgpool that was stopped leaves some of its sessions hanging, and the breaker tries one of them every 4 s.
	testenv.Eventually(t, 4*patience, "pgpool answers again", func() bool { return s.get(t, someBids).path() == "replica" })
	s.redis.Start(t)
	testenv.Eventually(t, patience, "Redis answers again", func() bool { return s.get(t, someBids).path() == "redis" })
}
