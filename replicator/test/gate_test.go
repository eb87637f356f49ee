package test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// gated is a primary whose commits wait for its standby, and a replicator.
type gated struct {
	*system
	primary, standby *testenv.Postgres
	url              string // of both, the primary first
	watch            *sightings
}

func newGated(t *testing.T) *gated {
	t.Helper()
	g := &gated{primary: testenv.StartPostgres(t)}
	g.system = newSystem(t, g.primary)
	g.bids(200)
	g.standby = g.primary.StartStandby(t)
	g.primary.SetSynchronous(t, testenv.StandbyName)
	g.watch = g.sightings()
	g.url = testenv.MultiHostURL(g.primary.URL("replicator"), g.standby.URL("replicator"))
	g.replicate("PRIMARY_URL=" + g.url)
	g.bids(10)
	g.reached()
	return g
}

// hang stops the standby by a function, then inserts bids in a session, which waits for the standby. It returns a
// position before the commit that the standby has not passed, and the end of the session.
func (g *gated) hang(stop func(testing.TB), n int) (before lsn.LSN, done chan error) {
	g.t.Helper()
	stop(g.t)
	before, done = g.lsn(), make(chan error, 1)
	conn, err := pgx.Connect(g.ctx, g.primary.URL("postgres"))
	g.must(err)
	go func() {
		_, err := conn.Exec(g.ctx, insertBids, n)
		_ = conn.Close(context.Background())
		done <- err
	}()
	testenv.Eventually(g.t, patience, "the commit waits for the standby", func() bool {
		return g.count("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT INTO bids%'") == 1
	})
	return before, done
}

// size is how many members the newest bids of all sizes have in Redis.
func (g *gated) size() (members int64) {
	g.t.Helper()
	c, err := g.checkpoint()
	g.must(err)
	for size := int16(250); size <= 300; size += 5 {
		n, err := g.redis.ZCard(g.ctx, c.Epoch.SizeNewest(size)).Result()
		g.must(err)
		members += n
	}
	return members
}

// holds waits until the replicator says that it waits. Meanwhile Redis must not show anything after a position.
func (g *gated) holds(members int64, before lsn.LSN) {
	g.t.Helper()
	testenv.EventuallyNoError(g.t, patience, "the replicator waits for the standby, and says so", func() error {
		if g.shows(members, before); g.t.Failed() {
			g.t.FailNow()
		}
		if s := g.report(); !s.Waits() || s.State != status.Streaming {
			return fmt.Errorf("%s, held for %d ms", s.State, s.HeldMillis)
		}
		return nil
	})
}

// shows fails if Redis shows a commit after a position, or a part of one.
func (g *gated) shows(members int64, before lsn.LSN) {
	g.t.Helper()
	if now := g.size(); now != members {
		g.t.Errorf("P14: Redis has %d members instead of %d", now, members)
	}
	for _, c := range g.watch.since(time.Time{}) {
		if c.LSN > before || c.Applying {
			g.t.Errorf("P14: the standby has not passed %s, a checkpoint is %s", before, c.Checkpoint)
		}
	}
}

// P14, P7: while the standby hangs, Redis shows neither the commit that waits for it nor a position beyond it, and the
// lag grows. When the standby goes on, Redis shows both.
func TestACommitIsShownOnceTheStandbyHasFlushedIt_P14_P7(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	members := g.size()
	before, done := g.hang(g.standby.Pause, 3)
	g.holds(members, before)
	g.expect("status", 0, "the synchronous standby, since")
	lag := g.report().LagMillis
	testenv.Eventually(t, patience, "the lag grows", func() bool { return g.report().LagMillis > lag+500 })
	if held := g.metric("replicator_held_seconds"); held == "" || held == "0" {
		t.Errorf("replicator_held_seconds is %q", held)
	}
	g.shows(members, before)
	g.standby.Resume(t)
	g.must(<-done)
	g.equal()
	if now := g.size(); now != members+3 {
		t.Errorf("Redis has %d members instead of %d", now, members+3)
	}
	testenv.Eventually(t, patience, "nothing is held", func() bool { return !g.report().Waits() })
	for _, line := range []string{"waits for the synchronous standby: ", "no longer waits for the synchronous standby"} {
		if n := strings.Count(g.Output(), line); n != 1 {
			t.Errorf("the log has %q %d times", line, n)
		}
	}
}

// A paused replicator waits for an operator, and not for the standby any more. It waits for the standby anew once it is
// resumed.
func TestAPauseIsNoWaitForTheStandby_P14(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	members := g.size()
	before, done := g.hang(g.standby.Pause, 3)
	g.holds(members, before)
	g.expect("pause", 0, "paused since")
	if s := g.report(); s.Waits() || s.HeldMillis != 0 {
		t.Errorf("paused, and held for %d ms", s.HeldMillis)
	}
	g.shows(members, before)
	g.must(g.redis.Del(g.ctx, readmodel.PauseKey).Err()) // "resume" would wait until something is applied
	g.holds(members, before)
	g.standby.Resume(t)
	g.must(<-done)
	g.equal()
}

// P14: a synchronous standby that is not connected is waited for, too. When commits no longer wait, Redis shows what the
// primary shows.
func TestACommitIsShownOnceCommitsWaitNoLonger_P14(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	members := g.size()
	before, done := g.hang(g.standby.Kill, 3)
	g.holds(members, before)
	g.primary.SetSynchronous(t, "")
	g.must(<-done)
	g.equal()
}

// P14, P9: of a transaction that takes several writes, not even the first one is made. The replicator ends at once when
// it is told to, and its successor holds the transaction back, too.
func TestNoPartOfALargeTransactionIsShownEarly_P14_P9(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	members := g.size()
	before, done := g.hang(g.standby.Pause, 5000)
	g.holds(members, before)
	second := g.replicate("PRIMARY_URL=" + g.url)
	token, begun := g.watch.last().Token, time.Now()
	if code := g.Stop(t); code != 0 || time.Since(begun) > 5*time.Second {
		t.Errorf("SIGTERM: exit status %d after %v", code, time.Since(begun))
	}
	testenv.Eventually(t, patience, "the second waits for the standby", func() bool {
		return strings.Contains(second.Output(), "waits for the synchronous standby: ")
	})
	if g.watch.last().Token == token {
		t.Error("P9: the second has not taken over")
	}
	g.shows(members, before)
	g.standby.Resume(t)
	g.must(<-done)
	g.equal()
}

// P14: the primary is lost with a commit that the standby never had. Redis has never shown its bids, so the promotion
// takes nothing back.
func TestAPromotionTakesNothingBack_P14(t *testing.T) {
	t.Parallel()
	g := newGated(t)
	members := g.size()
	before, done := g.hang(g.standby.Pause, 3)
	g.holds(members, before)
	g.primary.Kill(t)
	if err := <-done; err == nil {
		t.Fatal("the commit did not wait")
	}
	g.standby.Resume(t)
	g.standby.Promote(t)
	g.dbs = g.standby
	g.connect()
	g.bids(7)
	if c := g.equal(); c.Timeline != 2 {
		t.Errorf("the checkpoint is %s", c)
	}
	begins := g.begins()
	for _, c := range g.watch.since(time.Time{}) {
		if c.Timeline == 1 && c.LSN > begins {
			t.Errorf("P14: timeline 1 ends at %s, a checkpoint is %s", begins, c.Checkpoint)
		}
	}
}

// last is the last checkpoint that was written.
func (s *sightings) last() sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[len(s.all)-1]
}
