package bid

import "time"

const (
	// gatherTime is how long a batch waits for bids that are about to come.
	gatherTime = 10 * time.Millisecond
	// gatherFrom is the size of a batch after which it is worth the wait.
	gatherFrom = 8
	// gatherTrial is how many batches of that size come between two trials.
	gatherTrial = 64
	// gatherMisses is how many waits in a row may end by time before there are no more.
	gatherMisses = 2
)

// gather lets a batch wait until the callers of the batch before it have bid again, if these are all callers that there
// are. Otherwise one half of them bids while the statement of the other half is under way, and two batches take some
// 3 ms of processor time in all programs more than one. Callers that come on their own, as in the open model, are not
// waited for, because each of them would be answered later. A trial now and then tells the two apart: all callers of
// the first kind come in time, and nobody bids during a statement that holds the bids of all of them. In the open
// model the number that is waited for grows with each batch by those who came meanwhile, until the time ends.
// Times are arguments.
type gather struct {
	callers int       // of the batch under way and of the bids that wait, when its answer came; 0: no answer yet
	expect  int       // how many bids wait once the callers have come again
	until   time.Time // zero: nobody is waited for
	all     bool      // the last batch that was gathered held the bids of all callers
	misses  int       // waits in a row that ended by time
	batches int       // of gatherFrom bids and more, since the last trial
}

// awaits says whether a batch of the waiting bids would be taken too early.
func (g *gather) awaits(waiting int, now time.Time) bool {
	return waiting < g.expect && now.Before(g.until)
}

// taken ends the wait, and says whether the batch that is taken of the waiting bids was gathered.
func (g *gather) taken(waiting int) (gathered bool) {
	if g.until.IsZero() {
		return false
	}
	if gathered = waiting >= g.expect; gathered {
		g.misses = 0
	} else if g.misses++; g.misses >= gatherMisses {
		g.all, g.misses = false, 0
	}
	g.expect, g.until = 0, time.Time{}
	return gathered
}

// answered notes that the server has answered a batch of n bids, while so many wait. Its callers have no answer yet.
// For a batch that is split, the first answer counts.
func (g *gather) answered(n, waiting int) {
	if g.callers == 0 {
		g.callers = n + waiting
	}
}

// ended notes the end of a batch of n bids. So many of them are refused and wait for a lock.
func (g *gather) ended(n, refused int, gathered bool, now time.Time) {
	callers := g.callers
	g.callers = 0
	if n < gatherFrom || callers == 0 {
		return
	}
	if gathered {
		g.all = callers-n <= n/8
	}
	if g.batches++; g.all || g.batches >= gatherTrial {
		g.expect, g.until, g.batches = callers-refused, now.Add(gatherTime), 0
	}
}

// overlaps notes that a second batch is under way. Then nobody knows who comes again after which.
func (g *gather) overlaps() { g.all, g.callers = false, 0 }

// answered notes that the server has answered a batch of n bids, before their callers know it. It returns how many bids
// wait.
func (q *queue) answered(n int) (waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.underway == 1 {
		q.gather.answered(n, q.waiting)
	}
	return q.waiting
}
