package bid

import (
	"testing"
	"time"
)

// timeline runs a queue by a clock of its own. Each statement takes 4 ms.
type timeline struct {
	t        *testing.T
	q        *queue
	now      time.Time
	running  *batch
	ends     time.Time
	turn     time.Time // when the waiting bids are looked at again
	sizes    []int
	gathered int
	waited   time.Duration // of all bids, until their statement began
}

func newTimeline(t *testing.T) *timeline {
	return &timeline{t: t, q: newQueue(10 * time.Millisecond), now: time.Unix(0, 0)}
}

// bid enters a bid after a while. It returns how many bids were answered meanwhile.
func (l *timeline) bid(after time.Duration) (answered int) {
	answered = l.pass(after)
	b, err := l.q.enter(&waiting{bid: Bid{RaffleID: 1}, since: l.now, result: make(chan Result, 1)}, 512, 2048)
	if err != nil {
		l.t.Fatal(err)
	}
	if b != nil {
		l.start(b)
	} else {
		l.collect()
	}
	return answered
}

func (l *timeline) start(b *batch) {
	l.running, l.ends, l.turn = b, l.now.Add(4*time.Millisecond), time.Time{}
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

// pass lets time pass, with all that happens in it. It returns how many bids were answered.
func (l *timeline) pass(d time.Duration) (answered int) {
	until := l.now.Add(d)
	for {
		ends := l.running != nil && !l.ends.After(until)
		switch {
		case !l.turn.IsZero() && !l.turn.After(until) && (!ends || l.turn.Before(l.ends)):
			l.now, l.turn = l.turn, time.Time{}
		case ends:
			l.now = l.ends
			answered += len(l.running.bids)
			l.q.leave(l.running, nil, l.now)
			l.running = nil
		default:
			l.now = until
			return answered
		}
		l.collect()
	}
}

// Callers that bid again as soon as they are answered end up in one batch instead of two that take turns.
func TestCallersThatBidAgainAreGathered(t *testing.T) {
	l := newTimeline(t)
	for idle, rounds := 64, 0; rounds < 20; rounds++ {
		for ; idle > 0; idle-- {
			idle += l.bid(20 * time.Microsecond)
		}
		for idle == 0 {
			idle = l.pass(time.Millisecond)
		}
	}
	if last := l.sizes[len(l.sizes)-5:]; last[0] != 64 || last[4] != 64 {
		t.Errorf("sizes %v", l.sizes)
	}
}

// Callers that come on their own wait for nobody: hardly a batch is gathered, and no lone bid is.
func TestCallersOfTheirOwnAreNotWaitedFor(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		most  time.Duration // the mean time until the statement begins
	}{{250 * time.Microsecond, 2500 * time.Microsecond}, {20 * time.Millisecond, 0}} {
		l := newTimeline(t)
		const bids = 20_000
		for range bids {
			l.bid(c.every)
		}
		if mean := l.waited / bids; mean > c.most {
			t.Errorf("a bid every %v waits for %v", c.every, mean)
		}
		if l.gathered > len(l.sizes)/gatherTrial+1 {
			t.Errorf("a bid every %v: %d of %d batches were gathered", c.every, l.gathered, len(l.sizes))
		}
	}
}
