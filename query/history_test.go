package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// startPair is startStack with a service that knows both nodes as primaries.
func startPair(t *testing.T) *stack {
	t.Helper()
	s := startStack(t)
	c := s.config()
	c.PrimaryURL = testenv.MultiHostURL(s.primary.URL("query"), s.standby.URL("query"))
	c.StandbyURL = testenv.MultiHostURL(s.standby.URL("query"), s.primary.URL("query"))
	s.url = s.serve(t, c)
	testenv.Eventually(t, patience, "every path answers", func() bool {
		return !slices.ContainsFunc(allPaths, func(p string) bool { return s.get(t, someBids, "Read-Path", p).status != http.StatusOK })
	})
	return s
}

// use makes a server the primary that the test writes to.
func (s *stack) use(t *testing.T, p *testenv.Postgres) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.sql = conn
}

// position is where the test's primary is.
func (s *stack) position(t *testing.T) lsn.Position {
	t.Helper()
	return lsn.Position{Timeline: collect(t, s, "SELECT current_timeline()::bigint", pgx.RowTo[uint32])[0], LSN: s.lsn(t)}
}

func (s *stack) expectLost(t *testing.T, field, path string, headers ...string) {
	t.Helper()
	a := s.get(t, path, headers...)
	checkProblem(t, path+" "+strings.Join(headers, " "), a, http.StatusConflict, field)
	if p := problemOf(t, a); p.Type != "/problems/position-lost" || p.Title != "Position lost" {
		t.Errorf("R7: %+v", p)
	}
}

// R7: after a promotion, positions of the old timeline are good up to the switch point and lost beyond it. So are the
// positions of Redis and of cursors.
func TestPositionsAfterAPromotion_R7_P10(t *testing.T) {
	t.Parallel()
	s := startPair(t)
	good := s.position(t)
	s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN = good.LSN })
	s.standby.WaitReplay(t)
	testenv.Eventually(t, patience, "Redis is believed", func() bool { return s.get(t, someBids, "Read-Path", "redis").status == http.StatusOK })
	first := decode[bidPage](t, s.expect(t, http.StatusOK, "redis", someBids, "Read-Path", "redis"))
	s.standby.Kill(t)
	s.sqlBid(t) // only on the old primary
	s.beat(t)
	lost := s.position(t)
	lostPage := decode[bidPage](t, s.expect(t, http.StatusOK, "primary", someBids, "Read-Path", "primary"))
	s.expect(t, http.StatusServiceUnavailable, "", someBids, "Min-LSN", "2-0/1") // not promoted yet
	s.primary.Kill(t)
	s.standby.Start(t)
	s.standby.Promote(t)
	s.use(t, s.standby)
	s.beat(t)
	now := s.position(t)
	testenv.Eventually(t, patience, "the new primary is known", func() bool {
		return s.get(t, someBids, "Min-LSN", now.String()).status == http.StatusOK
	})
	for _, p := range []string{"redis", "standby", "primary"} {
		want := map[string]string{"redis": "redis"}[p] // the node of the others is the primary now
		if want == "" {
			want = "primary"
		}
		s.expect(t, http.StatusOK, want, someBids, "Read-Path", p, "Min-LSN", good.String())
		next := s.expect(t, http.StatusOK, want, someBids+"&cursor="+*first.NextCursor, "Read-Path", p)
		if len(decode[bidPage](t, next).Bids) != 5 {
			t.Errorf("R7: %s", next.body)
		}
		s.expectLost(t, "Min-LSN", someBids, "Min-LSN", lost.String(), "Read-Path", p)
		s.expectLost(t, "cursor", someBids+"&cursor="+*lostPage.NextCursor, "Read-Path", p)
	}
	s.expect(t, http.StatusOK, "primary", someBids, "Min-LSN", now.LSN.String())
	a := s.expect(t, http.StatusServiceUnavailable, "", someBids, "Min-LSN", "3-0/1")
	if a.header.Get("Retry-After") == "" {
		t.Error("R7: an unknown timeline without Retry-After")
	}
	if a := s.expect(t, http.StatusOK, "primary", someBids, "Read-Path", "primary"); strings.Contains(a.body, `"price":7,`) || a.header.Get("Read-LSN")[:2] != "2-" {
		t.Errorf("R7: %s: %s", a.header.Get("Read-LSN"), a.body)
	}
	t.Run("Redis went on with the old primary", func(t *testing.T) {
		kept := s.checkpoint
		s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.LSN = lost.LSN })
		s.expect(t, http.StatusServiceUnavailable, "", someBids, "Read-Path", "redis")
		s.expect(t, http.StatusOK, "primary", someBids)
		s.setCheckpoint(t, func(c *readmodel.Checkpoint) { *c = kept })
		s.expect(t, http.StatusOK, "redis", someBids)
		s.setCheckpoint(t, func(c *readmodel.Checkpoint) { c.Timeline, c.LSN, c.Server = 2, now.LSN, s.started(t) })
		s.expect(t, http.StatusOK, "redis", someBids, "Min-LSN", now.String())
	})
}

// P10, R2: the primary is restored to an older state, on the same timeline, while Redis and the standby keep theirs.
// From the first moment on, no read with a position of the new history is answered from the lost one.
func TestARestoredPrimary_R2_P10(t *testing.T) {
	t.Parallel()
	s := startPair(t)
	backup := s.primary.Backup(t)
	for n := range 5 { // the history that is lost
		s.place(t, 270, int32(9000+n))
		s.heartbeat(t)
	}
	s.setCheckpoint(t, func(*readmodel.Checkpoint) {})
	testenv.Eventually(t, patience, "Redis has the lost history", func() bool {
		a := s.get(t, someBids)
		return a.path() == "redis" && strings.Contains(a.body, `"price":9004,`)
	})
	s.primary.Kill(t)
	s.expect(t, http.StatusOK, "redis", someBids, "Min-LSN", s.checkpoint.Position().String())
	s.primary.Restore(t, backup)
	s.primary.Start(t)
	s.use(t, s.primary)
	judge := func(least lsn.Position) {
		t.Helper()
		a := s.get(t, someBids, "Min-LSN", least.String())
		if a.status == http.StatusServiceUnavailable { // a new connection may take longer than the budget
			return
		}
		if a.status != http.StatusOK || a.path() != "primary" || strings.Contains(a.body, `"price":900`) || !strings.Contains(a.body, `"price":7,`) {
			t.Errorf("P10: %s: %d from %q: %s", least, a.status, a.path(), a.body)
		}
	}
	for range 20 { // the new history grows, at first without a heartbeat
		s.sqlBid(t)
		judge(s.position(t))
	}
	for range 10 {
		s.beat(t)
		judge(s.position(t))
	}
	for _, p := range allPaths[:3] {
		a := s.get(t, someBids, "Read-Path", p)
		if a.status != http.StatusServiceUnavailable && a.path() != "primary" { // pgpool may have chosen the primary
			t.Errorf("P10: forced %s: %d from %s", p, a.status, a.path())
		}
	}
	testenv.Eventually(t, patience, "the primary answers alone", func() bool { return s.get(t, someBids).path() == "primary" })
	s.load(t, s.checkpoint.Epoch+1, "token-2")
	testenv.Eventually(t, patience, "a rebuilt Redis is believed", func() bool { return s.get(t, someBids).path() == "redis" })
}

// R7, P10: the old primary is frozen, its standby promoted, and the old one thawed. The old primary takes writes and
// comes first in the URL, but nothing is read from it.
func TestAThawedPrimaryIsNotRead_R7_P10(t *testing.T) {
	t.Parallel()
	s := startPair(t)
	s.primary.Pause(t)
	s.expect(t, http.StatusOK, "redis", someBids)
	s.standby.Promote(t)
	old := s.sql
	s.use(t, s.standby)
	s.beat(t)
	s.sqlBid(t)
	now := s.position(t)
	testenv.Eventually(t, patience, "the new primary answers", func() bool {
		return s.get(t, someBids, "Min-LSN", now.String()).path() == "primary"
	})
	s.primary.Resume(t)
	if _, err := old.Exec(t.Context(), "UPDATE raffles SET seller_id = 2 WHERE id = 1"); err != nil { // it takes writes
		t.Fatal(err)
	}
	for range 20 {
		a := s.expect(t, http.StatusOK, "primary", someBids, "Min-LSN", now.String())
		if !strings.Contains(a.body, `"price":7,`) || a.header.Get("Read-LSN")[:2] != "2-" {
			t.Errorf("R7: %s: %s", a.header.Get("Read-LSN"), a.body)
		}
		s.expect(t, http.StatusOK, "primary", someBids, "Read-Path", "primary")
	}
}

// R8: a position beyond the primary is refused before any path is asked, and so is a position of an unknown timeline.
func TestAPositionBeyondIsRefusedWithoutReading_R8(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	count := func() (n uint64) {
		for _, p := range allPaths {
			for _, result := range []string{"answered", "behind", "failed"} {
				n += s.tries(t, p, result)
			}
		}
		return n
	}
	// While a busy machine keeps the primary from being heard, its position is not known.
	testenv.Eventually(t, patience, "R8: no path is asked", func() bool {
		before := count()
		for range 10 {
			s.expect(t, http.StatusUnprocessableEntity, "", someBids, "Min-LSN", "1-FFFFFF/0")
			s.expect(t, http.StatusServiceUnavailable, "", someBids, "Min-LSN", "9-0/1")
		}
		return count() == before
	})
}

// P7: the primary answers what only SQL can answer if the standby does not follow. The standby answers again once it
// follows, or if it is all there is.
func TestAStandbyThatDoesNotFollowIsLeft_P7(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	c := s.config()
	c.StandbyMaxLag = 500 * time.Millisecond
	s.url = s.serve(t, c)
	const bid = "/v1/raffles/1/bids/10001"
	from := func(paths ...string) func() bool {
		return func() bool { return slices.Contains(paths, s.get(t, bid).path()) }
	}
	testenv.Eventually(t, patience, "the standby answers", from("replica", "standby"))
	s.pauseReplay(t)
	s.beat(t)
	testenv.Eventually(t, patience, "the primary answers", from("primary"))
	s.resumeReplay(t)
	testenv.Eventually(t, patience, "the standby answers again", from("replica", "standby"))
	s.pauseReplay(t)
	s.beat(t)
	testenv.Eventually(t, patience, "the primary answers", from("primary"))
	s.primary.Kill(t)
	testenv.Eventually(t, patience, "the standby is all there is", from("replica", "standby"))
	a := s.get(t, bid, "Read-Path", "standby")
	if lag := a.header.Get("Read-Lag-Ms"); len(lag) < 3 {
		t.Errorf("P7: lag %s", fmt.Sprint(lag))
	}
}
