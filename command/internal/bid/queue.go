package bid

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
)

const (
	// lockWait is how long the bids of a raffle wait while somebody changes its state.
	lockWait = 250 * time.Millisecond
	// lockRetry is the pause before the lock is tried again.
	lockRetry = 10 * time.Millisecond
	// rafflesAtMost bounds the raffles in one batch, because each takes an entry in the server's lock table.
	rafflesAtMost = 128
	// heldAtMost is how many bids wait for one locked raffle.
	heldAtMost = 512
)

// waiting is a bid in the queue and the channel on which its caller waits for the result.
type waiting struct {
	bid     Bid
	since   time.Time
	held    time.Time   // when its raffle was found locked
	result  chan Result // capacity 1, so that a lane never waits for a caller
	settled bool
	perhaps error        // not nil: an earlier try may have placed the bid
	span    tracing.Span // of the request
}

// settle gives a bid its result. If an earlier try may have placed it, a result that leaves open whether there is a bid
// under its key does not count.
func (w *waiting) settle(r Result) {
	if w.perhaps != nil && !decided(r.Err) {
		r = Result{Err: w.perhaps}
	}
	w.settled = true
	w.result <- r
}

// decided says whether a result tells what became of a bid with a key, even if an earlier try is still under way in the
// server. These refusals would have met the earlier try, too. Other refusals could come just before it commits.
func decided(err error) bool {
	return err == nil || errors.Is(err, ErrKeyReused) || errors.Is(err, ErrUnknownRaffle) || errors.Is(err, ErrUnknownUser)
}

// line holds the waiting bids of one raffle in the order of their arrival.
type line struct {
	raffle int64
	bids   []*waiting
	queued bool // the line is in queue.ready
	busy   bool // a batch holds bids of the raffle
	// locked: the raffle's lock was refused. At the next try the line sends a single bid.
	locked bool
}

// batch holds the bids of one statement, and the lines that they come from.
type batch struct {
	bids     []*waiting
	lines    []*line
	gathered bool // all callers that were waited for had come
}

// queue has a line for each raffle. No raffle is in two batches at once, so its bids are stored in the order
// of their arrival (W5). The lines take turns, and the bids of locked raffles have a bound of their own, so
// that one raffle does not keep the others' bids out (W6, W7).
type queue struct {
	changed chan struct{} // capacity 1; a value wakes the lane that collects
	overlap time.Duration // see Limits

	mu       sync.Mutex
	lines    map[int64]*line
	ready    []*line
	waiting  int  // bids in lines that are not locked
	held     int  // bids in locked lines
	underway int  // batches
	sleeping bool // the lane that collects waits for something to do
	gather   gather
	since    time.Time // when the next batch began to wait; zero: nothing is ready
}

func newQueue(overlap time.Duration) *queue {
	return &queue{overlap: overlap, changed: make(chan struct{}, 1), lines: make(map[int64]*line)}
}

func (q *queue) signal() {
	select {
	case q.changed <- struct{}{}:
	default: // the lane has a signal that it has not received yet
	}
}

func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting
}

// enter queues a bid, or returns ErrBusy or ErrLocked. If no batch is under way, it returns one, which the caller
// must run and then pass to leave. So no lane has to be woken, which would take longer than sending the statement.
func (q *queue) enter(w *waiting, batchLimit, queueLimit int) (*batch, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[w.bid.RaffleID]
	switch {
	case l != nil && l.locked:
		if len(l.bids) >= heldAtMost || q.held >= queueLimit {
			return nil, ErrLocked
		}
		w.held = w.since
		q.held++
		l.bids = append(l.bids, w)
		return nil, nil
	case q.full(l, queueLimit):
		return nil, ErrBusy
	case l == nil:
		l = &line{raffle: w.bid.RaffleID}
		q.lines[w.bid.RaffleID] = l
	}
	l.bids = append(l.bids, w)
	q.waiting++
	q.makeReady(l)
	if q.underway == 0 && (q.waiting >= batchLimit || !q.gather.awaits(q.waiting, w.since)) {
		return q.take(batchLimit), nil
	}
	if q.sleeping || q.waiting >= batchLimit {
		q.signal()
	}
	return nil, nil
}

// full says whether a line may take no more bids. Short lines (less than 1/16 of the limit) may fill the queue to a
// quarter above the limit, so that one raffle that fills the queue does not keep out the bids of others.
func (q *queue) full(l *line, limit int) bool {
	short := l == nil || len(l.bids) < max(1, limit/16)
	return q.waiting >= limit+limit/4 || q.waiting >= limit && !short
}

// refuses says whether a bid of the raffle would be refused now because too many wait.
func (q *queue) refuses(raffle int64, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lines[raffle]
	return q.full(l, limit) && (l == nil || !l.locked)
}

func (q *queue) makeReady(l *line) {
	if !l.busy && !l.queued && len(l.bids) > 0 {
		l.queued = true
		q.ready = append(q.ready, l)
	}
}

// collect returns a batch of the ready bids or, unless they make a full batch, how long they wait at most: overlap for the
// end of the batch under way, or until the batch is gathered.
func (q *queue) collect(limit int, now time.Time) (b *batch, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sleeping = len(q.ready) == 0
	if q.sleeping {
		q.since = time.Time{}
		return nil, 0
	}
	if q.since.IsZero() {
		q.since = now
	}
	switch {
	case q.readyBids() >= limit:
	case q.underway > 0:
		wait = q.since.Add(q.overlap).Sub(now)
	case q.waiting > 0 && q.gather.awaits(q.waiting, now): // otherwise only locked lines are ready
		wait = q.gather.until.Sub(now)
	}
	if wait > 0 {
		return nil, wait
	}
	return q.take(limit), 0
}

func (q *queue) readyBids() (n int) {
	for _, l := range q.ready {
		n += l.next()
	}
	return n
}

// next is how many bids of the line a batch may take.
func (l *line) next() int {
	if l.locked {
		return min(1, len(l.bids))
	}
	return len(l.bids)
}

func (q *queue) take(limit int) *batch {
	b := &batch{gathered: q.gather.taken(q.waiting)}
	if q.underway > 0 {
		q.gather.overlaps()
	}
	// The next bid wakes the lane that collects, so that its wait begins then.
	q.since, q.sleeping = time.Time{}, true
	for len(q.ready) > 0 && len(b.bids) < limit && len(b.lines) < rafflesAtMost {
		l := q.ready[0]
		q.ready = slices.Delete(q.ready, 0, 1)
		n := min(l.next(), limit-len(b.bids))
		b.bids = append(b.bids, l.bids[:n]...)
		l.bids = slices.Clone(l.bids[n:])
		q.add(l, -n)
		l.queued, l.busy = false, true
		b.lines = append(b.lines, l)
	}
	q.underway++
	return b
}

func (q *queue) add(l *line, n int) {
	if l.locked {
		q.held += n
	} else {
		q.waiting += n
	}
}

// leave ends a batch. The refused bids, whose raffles are locked, go back to the heads of their lines.
func (q *queue) leave(b *batch, refused []*waiting, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	back := make(map[int64][]*waiting)
	for _, w := range refused {
		back[w.bid.RaffleID] = append(back[w.bid.RaffleID], w)
	}
	for _, l := range b.lines {
		l.busy = false
		switch again := back[l.raffle]; {
		case len(again) > 0:
			q.setLocked(l, true)
			l.bids = append(again, l.bids...)
			q.held += len(again)
			q.hold(l, now)
		case len(l.bids) == 0:
			delete(q.lines, l.raffle)
		default:
			q.setLocked(l, false)
			q.makeReady(l)
		}
	}
	if q.underway--; q.underway == 0 {
		q.gather.ended(len(b.bids), len(refused), b.gathered, now)
	}
	q.signal()
}

func (q *queue) setLocked(l *line, locked bool) {
	if l.locked == locked {
		return
	}
	q.add(l, -len(l.bids))
	l.locked = locked
	q.add(l, len(l.bids))
	for _, w := range l.bids {
		w.held = time.Time{}
	}
}

// hold keeps a locked line back for lockRetry.
func (q *queue) hold(l *line, now time.Time) {
	for _, w := range l.bids {
		if w.held.IsZero() {
			w.held = now
		}
	}
	time.AfterFunc(lockRetry, func() { q.retry(l, now.Add(lockRetry)) })
}

// retry refuses the bids that have waited for the lock too long, and makes the line ready again.
func (q *queue) retry(l *line, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	defer q.signal()
	for len(l.bids) > 0 && now.Sub(l.bids[0].held) >= lockWait {
		l.bids[0].settle(Result{Err: ErrLocked})
		l.bids = l.bids[1:]
		q.held--
	}
	if len(l.bids) == 0 {
		delete(q.lines, l.raffle)
		return
	}
	q.makeReady(l)
}

// empty says that nothing waits and nothing is under way.
func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.lines) == 0 && q.underway == 0
}
