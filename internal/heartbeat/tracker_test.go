package heartbeat

import (
	"testing"
	"time"
)

// start is when the tests begin; clock is the primary's clock, which need not be right.
var start = time.Now()

func after(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// beats returns the heartbeats of the given numbers, one for each second of the primary's clock.
func beats(first, last int64, clock time.Duration) (list []Beat) {
	for n := first; n <= last; n++ {
		list = append(list, Beat{Number: n, Nonce: -n, At: after(float64(n)).Add(clock).UnixMicro()})
	}
	return list
}

func beat(n int64) Beat { return beats(n, n, 0)[0] }

func (t *Tracker) expect(test *testing.T, what string, at float64, b int64, want time.Duration) {
	test.Helper()
	if got := t.Lag(after(at), beat(b)); got < want-time.Millisecond || got > want+time.Millisecond {
		test.Errorf("P7: %s: lag %v, want %v", what, got, want)
	}
}

// P7: whatever the primary's clock shows, a source that keeps up has no lag, and a source that is behind has its true
// lag.
func TestLagDoesNotDependOnThePrimarysClock_P7(t *testing.T) {
	for name, clock := range map[string]time.Duration{
		"right": 0, "5 s slow": -5 * time.Second, "60 s fast": time.Minute, "set back an hour": -time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			var k Tracker
			k.Adopt(after(0), beats(0, 0, 0))
			for n := int64(1); n <= 30; n++ {
				k.Extend(after(float64(n)), beats(n, n, clock))
				k.expect(t, "a source that keeps up", float64(n)+0.9, n, 0)
				if n >= 10 { // its last one is 10
					k.expect(t, "a replicator that has stopped", float64(n)+0.9, 10, max(time.Duration(n-11)*time.Second+900*time.Millisecond, 0))
				}
			}
		})
	}
}

// P7: while the primary is stopped in order, a source that has everything has no lag, for however long. When the
// primary comes back, its next heartbeat may take Quiet.
func TestNoLagWhileNoPrimaryRuns_P7(t *testing.T) {
	var k Tracker
	k.Adopt(after(10), beats(1, 10, 0))
	k.Down(after(10.5))
	k.Down(after(50))
	k.expect(t, "all is there", 110, 10, 0)
	k.expect(t, "a source that had not all", 110, 8, 101*time.Second)
	k.Up(after(110))
	k.expect(t, "it is back", 111.9, 10, 0)
	k.expect(t, "and writes none", 115, 10, 3*time.Second)
	k.Extend(after(115), []Beat{beat(11)})
	k.expect(t, "it has written", 116, 10, time.Second)
}

// P7: the primary is not seen at all (frozen): the lag grows beyond Quiet, and a newer heartbeat counts even if only
// a standby shows it.
func TestLagWithoutTheWatch_P7(t *testing.T) {
	var k Tracker
	k.Note(after(0), beat(1))
	k.expect(t, "at first sight of an old heartbeat nothing is known", 0, 1, 0)
	k.expect(t, "no newer one", 5, 1, 3*time.Second)
	k.Note(after(5), beat(3))
	k.expect(t, "the standby showed a newer one", 6, 1, time.Second)
	k.expect(t, "the standby itself", 6, 3, 0)
	k.Note(after(6), beat(2))
	k.expect(t, "an older one that comes late says nothing", 7, 1, 2*time.Second)
}

// P7: at first sight of the primary, the lag of a source that is behind follows from the times in the primary's rows,
// even if the primary's clock was set back in between.
func TestLagAtFirstSightOfThePrimary_P7(t *testing.T) {
	var k Tracker
	k.Adopt(after(100), beats(1, 100, 0))
	k.expect(t, "20 heartbeats behind", 100, 80, 19*time.Second)
	list := beats(1, 100, 0)
	for i := 90; i < 100; i++ {
		list[i].At -= time.Hour.Microseconds()
	}
	var back Tracker
	back.Adopt(after(100), list)
	back.expect(t, "with the hour between", 100, 80, 18*time.Second)
	// Known heartbeats keep their times. The heartbeats of the gap get times in between.
	k.Adopt(after(130), beats(11, 130, -time.Minute))
	k.expect(t, "came while the watch was away", 130, 110, 19*time.Second)
	k.expect(t, "seen before", 130, 98, 31*time.Second)
}

// P10: a node of another history shows a heartbeat that the primary does not have.
func TestStanding(t *testing.T) {
	var k Tracker
	if k.Standing(beat(5)) != Newer {
		t.Error("before the primary was seen")
	}
	k.Note(after(0), beat(50))
	k.Adopt(after(10), beats(3, 10, 0))
	k.Note(after(11), beat(12))
	foreign := beat(7)
	foreign.Nonce++
	for _, c := range []struct {
		b    Beat
		want Standing
	}{{beat(3), Known}, {beat(10), Known}, {beat(2), Known}, {beat(11), Newer}, {beat(12), Newer}, {beat(50), Newer}, {foreign, Foreign}} {
		if got := k.Standing(c.b); got != c.want {
			t.Errorf("P10: %v has the standing %d, want %d", c.b, got, c.want)
		}
	}
	k.Adopt(after(20), beats(3, 15, 0))
	if k.Standing(beat(12)) != Known || k.Newest() != beat(15) {
		t.Errorf("P10: after the primary has shown it: %d, newest %v", k.Standing(beat(12)), k.Newest())
	}
	k.expect(t, "the heartbeat of a lost history is forgotten", 20.5, 15, 0)
}

func TestTheTrackerIsBounded(t *testing.T) {
	var k Tracker
	k.Adopt(after(0), beats(1, 3600, 0))
	for n := int64(3601); n <= 10_000; n++ {
		k.Extend(after(float64(n)), beats(n, n, 0))
	}
	if n := len(k.sights); n != kept || k.Standing(beat(1)) != Known {
		t.Errorf("%d heartbeats are kept", n)
	}
}
