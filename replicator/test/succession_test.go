package test

import (
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// succession is a primary and a standby. At first the standby's proxy refuses the replicator.
type succession struct {
	*system
	primary, standby *testenv.Postgres
	way              *testenv.Proxy // to the standby
}

func newSuccession(t *testing.T) *succession {
	t.Helper()
	p := &succession{primary: testenv.StartPostgres(t)}
	p.system = newSystem(t, p.primary)
	p.bids(500)
	p.standby = p.primary.StartStandby(t)
	p.way = testenv.StartProxy(t, p.standby.Addr())
	p.way.Refuse(t, true)
	p.replicate("PRIMARY_URL=" + testenv.MultiHostURL(p.primary.URL("replicator"), p.way.URL(p.standby.URL("replicator"))))
	p.beaten()
	return p
}

// promote promotes the standby. An open transaction holds up each rebuild from it.
func (p *succession) promote() {
	p.t.Helper()
	p.standby.Promote(p.t)
	p.dbs = p.standby
	p.connect()
	p.exec("BEGIN; UPDATE products SET color = 'blue'")
	p.way.Refuse(p.t, false)
}

// heldUp waits until a rebuild for this reason waits for the open transaction.
func (p *succession) heldUp(reason status.Reason) {
	p.t.Helper()
	p.because(reason)
	testenv.Eventually(p.t, patience, "the rebuild waits", func() bool {
		rebuild := p.report().Rebuild
		return rebuild != nil && len(rebuild.WaitsFor) == 1
	})
}

// P10: a standby that has everything is promoted. The old epoch is served until the new one is complete.
func TestFailoverKeepsServingUntilTheRebuildIsDone_P10(t *testing.T) {
	t.Parallel()
	p := newSuccession(t)
	p.bids(100)
	before := p.reached()
	p.primary.Stop(t) // the standby gets the rest
	p.promote()
	p.heldUp(status.Failover)
	if c, err := p.checkpoint(); err != nil || c.Epoch != before.Epoch || c.Timeline != 1 || c.LSN < before.LSN {
		t.Errorf("%v: %s after %s", err, c, before)
	}
	p.exec("COMMIT")
	if c := p.equal(); c.Epoch == before.Epoch || c.Timeline != 2 {
		t.Errorf("%s after %s", c, before)
	}
}

// P10: a standby is promoted that lacks commits which Redis holds.
func TestOtherTimelineIsNotResumedFrom_P10(t *testing.T) {
	t.Parallel()
	p := newSuccession(t)
	p.standby.Stop(t)
	p.bids(100)
	lost := p.reached()
	p.primary.Kill(t)
	p.standby.Start(t)
	watch, since := p.sightings(), time.Now()
	p.promote()
	p.heldUp(status.OtherTimeline)
	if c, err := p.checkpoint(); err == nil {
		t.Errorf("a lost history is served: %s", c)
	}
	p.exec("COMMIT")
	if c := p.equal(); c.Timeline != 2 {
		t.Errorf("%s after %s", c, lost)
	}
	p.unserved(watch, since, lost.Epoch)
}

// P10: a standby is promoted while the old primary goes on. The session with the old primary ends although it is
// healthy.
func TestAPromotionBesideAHealthyPrimaryIsFollowed_P10(t *testing.T) {
	t.Parallel()
	p := newSuccession(t)
	p.reached()
	p.standby.WaitReplay(t)
	p.standby.Promote(t)
	p.way.Refuse(t, false)
	p.dbs = p.standby
	p.connect()
	p.bids(100)
	if c := p.equal(); c.Timeline != 2 {
		t.Errorf("%s", c)
	}
	p.primary.Exec(t, insertFew, 10)
	if c := p.equal(); c.Timeline != 2 {
		t.Errorf("after a write to the old primary: %s", c)
	}
}

// continued makes the slot of the standby, which was promoted, as the promoting program does.
func (p *succession) continued() {
	p.t.Helper()
	p.standby.Exec(p.t, "SELECT wal.continue_stream()")
	p.dbs = p.standby
	p.connect()
}

// P4: Redis has everything that the primary has committed, and the promoted standby made a slot before anybody could write.
// The same epoch goes on, and the former slots are dropped.
func TestAPromotionThatLosesNothingIsResumedFrom_P4(t *testing.T) {
	t.Parallel()
	p := newSuccession(t)
	p.bids(100)
	before := p.reached()
	p.primary.Stop(t) // the standby and the replicator get the rest
	p.standby.Promote(t)
	p.continued()
	p.bids(50)
	p.way.Refuse(t, false)
	c := p.equal()
	if c.Epoch != before.Epoch || c.Timeline != 2 || c.Slot != "pyramid_2" || p.report().Rebuilds != 1 {
		t.Errorf("%s after %s, %d rebuilds", c, before, p.report().Rebuilds)
	}
	// A rebuild replaces this slot as any other.
	p.must(p.redis.FlushAll(p.ctx).Err())
	if c := p.equal(); c.Epoch == before.Epoch {
		t.Errorf("%s after %s", c, before)
	}
	testenv.Eventually(t, patience, "the slot is dropped", func() bool { return p.slots() == 1 })
}

// P4: what was committed between the promotion and its slot is in no stream.
func TestAPromotionWithACommitBeforeItsSlotIsNotResumedFrom_P4(t *testing.T) {
	t.Parallel()
	p := newSuccession(t)
	p.bids(100)
	before := p.reached()
	p.primary.Stop(t)
	p.standby.Promote(t)
	p.standby.Exec(t, insertFew, 10)
	p.continued()
	p.way.Refuse(t, false)
	p.because(status.Failover)
	if c := p.equal(); c.Epoch == before.Epoch || c.Timeline != 2 {
		t.Errorf("%s after %s", c, before)
	}
}

// P4: Redis lacks what the primary committed last.
func TestAPromotionWithMoreThanRedisHasIsNotResumedFrom_P4(t *testing.T) {
	t.Parallel()
	p := newSuccession(t)
	p.bids(100)
	before := p.reached()
	p.Pause(t)
	p.primary.Exec(t, insertFew, 10)
	p.standby.WaitReplay(t)
	p.primary.Kill(t)
	p.standby.Promote(t)
	p.continued()
	p.way.Refuse(t, false)
	p.Resume(t)
	p.because(status.Failover)
	if c := p.equal(); c.Epoch == before.Epoch || c.Timeline != 2 {
		t.Errorf("%s after %s", c, before)
	}
}
