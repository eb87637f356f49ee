package bid

import "time"

const (
	// gatherTime is how long a batch waits for bids that are about to come.
	gatherTime = 10 * time.Millisecond
	// gatherFrom is the size of a batch after which it is worth the wait. So a lone bid never waits.
	gatherFrom = 8
	// gatherTrial is how many batches come between two trials.
	gatherTrial = 64
)

// gather lets a batch wait until the callers of the batch before it have bid again, if these are all callers that there
// are. Otherwise one half of them bids while the statement of the other half is under way, and two batches take some
// 3 ms of processor time in all programs more than one. Callers that come on their own, as in the open model, are not
// waited for, because each of them would be answered later. A trial now and then tells the two apart: nobody bids
// during a statement that holds the bids of all callers. Times are arguments.
type gather struct {
	expect int       // how many bids wait once the callers have come again
	until  time.Time // zero: nobody is waited for
	all    bool      // the last batch that was gathered held the bids of all callers
	rest   int       // batches until the next trial
}

// awaits says whether a batch of the waiting bids would be taken too early.
func (g *gather) awaits(waiting int, now time.Time) bool {
	return waiting < g.expect && now.Before(g.until)
}

// taken ends the wait, and says whether the batch that is taken was gathered.
func (g *gather) taken() (gathered bool) {
	gathered = !g.until.IsZero()
	g.expect, g.until = 0, time.Time{}
	return gathered
}

// ended notes the end of a batch of n bids, while so many wait and no other batch is under way.
func (g *gather) ended(n, waiting int, gathered bool, now time.Time) {
	g.rest--
	switch {
	case n < gatherFrom:
		g.all = false
		return
	case gathered:
		g.all = waiting <= n/8
	}
	if g.all || g.rest <= 0 {
		g.expect, g.until, g.rest = waiting+n, now.Add(gatherTime), gatherTrial
	}
}
