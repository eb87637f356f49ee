package bid

import (
	"math/rand/v2"
	"testing"
	"time"
)

// timeline runs a queue by a clock of its own.
type timeline struct {
	t        *testing.T
	q        *queue
	now      time.Time
	takes    time.Duration // each statement
	early    int           // callers of a batch that bid again before the batch has ended
	running  *batch
	ends     time.Time
	turn     time.Time // when the waiting bids are looked at again
	sizes    []int
	gathered int
	waited   time.Duration // of all bids, until their statement began
}

func newTimeline(t *testing.T, takes time.Duration) *timeline {
	return &timeline{t: t, q: newQueue(10 * time.Millisecond), now: time.Unix(0, 0), takes: takes}
}

// bid enters a bid after a while. It returns how many bids were answered meanwhile.
func (l *timeline) bid(after time.Duration) (answered int) {
	answered = l.pass(after)
	l.enter()
	return answered
}

func (l *timeline) enter() {
	b, err := l.q.enter(&waiting{bid: Bid{RaffleID: 1}, since: l.now, result: make(chan Result, 1)}, 512, 2048)
	if err != nil {
		l.t.Fatal(err)
	}
	if b != nil {
		l.start(b)
	} else {
		l.collect()
	}
}

func (l *timeline) start(b *batch) {
	l.running, l.ends, l.turn = b, l.now.Add(l.takes), time.Time{}
	l.sizes = append(l.sizes, len(b.bids))
	if b.gathered {
		l.gathered++
	}
	for _, w := range b.bids {
		l.waited += l.now.Sub(w.since)
	}
}

func (l *timeline) collect() {
	b, wait := l.q.collect(512, l.now)
	if b != nil {
		l.start(b)
	} else if wait > 0 {
		l.turn = l.now.Add(wait)
	}
}

// end ends the statement. It returns how many callers have not bid again yet.
func (l *timeline) end() (answered int) {
	l.now = l.ends
	answered = len(l.running.bids)
	l.q.answered(answered)
	for range min(l.early, answered) {
		l.enter()
		answered--
	}
	l.q.leave(l.running, nil, l.now)
	l.running = nil
	return answered
}

// pass lets time pass, with all that happens in it. It returns how many callers were answered and have not bid again.
func (l *timeline) pass(d time.Duration) (answered int) {
	until := l.now.Add(d)
	for {
		ends := l.running != nil && !l.ends.After(until)
		switch {
		case !l.turn.IsZero() && !l.turn.After(until) && (!ends || l.turn.Before(l.ends)):
			l.now, l.turn = l.turn, time.Time{}
		case ends:
			answered += l.end()
		default:
			l.now = until
			return answered
		}
		l.collect()
	}
}

// again has callers bid for so many rounds, each as soon as it is answered.
func (l *timeline) again(callers, rounds int) {
	for idle := callers; rounds > 0; rounds-- {
		for ; idle > 0; idle-- {
			idle += l.bid(20 * time.Microsecond)
		}
		for idle == 0 {
			idle = l.pass(time.Millisecond)
		}
	}
}

// Callers that bid again as soon as they are answered end up in one batch instead of two that take turns, also if some are
// so quick that their batch has not ended yet.
func TestCallersThatBidAgainAreGathered(t *testing.T) {
	for _, early := range []int{0, 10} {
		l := newTimeline(t, 4*time.Millisecond)
		l.early = early
		l.again(64, 3*gatherTrial)
		for _, n := range l.sizes[len(l.sizes)-10:] {
			if n != 64 {
				t.Fatalf("%d early: sizes %v", early, l.sizes)
			}
		}
	}
}

// Callers that come on their own wait for nobody, whatever came before and however quick the server is: hardly a batch
// is gathered, and no lone bid is.
func TestCallersOfTheirOwnAreNotWaitedFor(t *testing.T) {
	for _, c := range []struct{ every, takes, most time.Duration }{ // most is the mean time until the statement begins
		{250 * time.Microsecond, 4 * time.Millisecond, 2500 * time.Microsecond},
		{500 * time.Microsecond, 700 * time.Microsecond, 600 * time.Microsecond},
		{100 * time.Microsecond, time.Millisecond, 700 * time.Microsecond},
		{50 * time.Microsecond, 500 * time.Microsecond, 400 * time.Microsecond},
		{100 * time.Microsecond, 500 * time.Microsecond, 500 * time.Microsecond},
		{1250 * time.Microsecond, 1500 * time.Microsecond, 900 * time.Microsecond},
		{20 * time.Millisecond, 4 * time.Millisecond, time.Millisecond},
	} {
		l := newTimeline(t, c.takes)
		l.again(64, 3*gatherTrial)
		l.sizes, l.gathered, l.waited = nil, 0, 0
		random := rand.New(rand.NewPCG(1, 2))
		const bids = 20_000
		for range bids {
			l.bid(time.Duration(random.ExpFloat64() * float64(c.every)))
		}
		if mean := l.waited / bids; mean > c.most {
			t.Errorf("a bid every %v, statements of %v: waits for %v", c.every, c.takes, mean)
		}
		if l.gathered > len(l.sizes)/20+2 {
			t.Errorf("a bid every %v, statements of %v: %d of %d batches were gathered", c.every, c.takes, l.gathered, len(l.sizes))
		}
	}
}

// Bids that are refused for a lock do not come again, so nobody waits for their callers.
func TestRefusedBidsAreNotWaitedFor(t *testing.T) {
	var g gather
	now := time.Unix(0, 0)
	g.batches = gatherTrial
	g.answered(20, 0)
	g.ended(20, 5, false, now)
	if g.awaits(15, now) || !g.awaits(14, now) || g.awaits(14, now.Add(gatherTime)) {
		t.Errorf("%d are waited for until %v", g.expect, g.until.Sub(now))
	}
}

// Two waits in a row that end by time are the last ones until the next trial.
func TestWaitsThatEndByTimeAreGivenUp(t *testing.T) {
	g := gather{all: true}
	now := time.Unix(0, 0)
	for range gatherMisses {
		g.answered(20, 1)
		g.ended(20, 0, true, now)
		if !g.awaits(20, now) {
			t.Fatal("nobody is waited for")
		}
		if g.taken(20) {
			t.Fatal("one of 21 was missing")
		}
	}
	g.answered(20, 1)
	if g.ended(20, 0, false, now); g.awaits(0, now) {
		t.Error("a third time")
	}
}
