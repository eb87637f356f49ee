// Package clienthistory records what clients of the system did and were told, and judges it with
// porcupine (github.com/anishathalye/porcupine), a checker of linearizability. It knows nothing of how the
// system works, and shares nothing with the oracle of the random histories.
//
// # The consistency that is modelled
//
// The system promises less than linearizability: a read may be stale. It promises that a read shows a prefix
// of all commits, namely the commits up to its Read-LSN. So the histories are judged on another axis than
// time: the positions in the primary's log.
//
//   - A write takes effect at one position: after every position that any client had been told before the
//     write was sent, and at or before the write's Commit-LSN.
//   - A read that Redis answers takes effect exactly at its Read-LSN. A read that a standby answers shows at least
//     what was committed at its Read-LSN, so it takes effect at or after the Read-LSN, and before every commit that
//     follows the answer. A read that the primary answers shows at least what was committed at its Read-LSN, and
//     any part of what was committed between that and the answer, because a primary makes commits visible in
//     another order than its log has them in.
//
// A history is right if such positions exist that each read shows exactly the writes before it. That is
// linearizability of a set of bids with positions in the place of time. What is promised follows from it:
//
//   - Consistent prefix: all reads see parts of one order of writes, whichever path answers.
//   - Read your writes: a read with Min-LSN at or above a write's Commit-LSN shows the write, because its
//     Read-LSN must not be below its Min-LSN.
//   - Monotonic reads: a client that sends the Read-LSN of its last read as Min-LSN never goes back.
//   - Nothing from the future: no read shows a write that was sent after the read was answered, because the
//     write's position is then above the read's.
//
// Reads without Min-LSN have no lower bound. They are judged as reads of the prefix at their Read-LSN.
//
// A write without an answer may have taken effect at any position after it was sent, or never. After a fork of the
// primary's history (a promotion, a restore), a write of the line that was left stays as it is if its Commit-LSN is
// at or below the fork. Otherwise it counts as a write without an answer; but if a position at or beyond the fork was
// known when it was sent, it does not count at all. No client may have a request open during a fork.
package clienthistory

import (
	"slices"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// List names the set of bids of one raffle and size. Histories are about such sets.
type List struct {
	Raffle int64
	Size   int16
}

type kind byte

const (
	add kind = iota
	remove
	read
	clearAll
)

// operation is what one client did and what the answer was.
type operation struct {
	client int
	kind   kind
	list   List
	bid    int32   // of add and remove
	bids   []int32 // of read
	known  lsn.LSN // the highest position that any client had been told before
	min    lsn.LSN // of read: its Min-LSN, 0 if it sent none
	at     lsn.LSN // Commit-LSN or Read-LSN, 0 if there was no answer
	upTo   lsn.LSN // of read: the highest position that it may show
	inPart bool    // of read: commits above at may be shown in part
	unsure []int32 // of a read with inPart: the bids that it may show or not
	line   int     // the number of forks before it
}

// Recorder keeps what clients do. The caller gives each bid a number of its own, such as a price that is never used
// twice.
type Recorder struct {
	mu         sync.Mutex
	operations []operation
	forks      []fork
	known      lsn.LSN
	clears     int
}

// fork is the position at which a line of the primary's history was left.
type fork struct{ at lsn.LSN }

// NewRecorder begins a history of lists that are empty at the position.
func NewRecorder(at lsn.LSN) *Recorder {
	return &Recorder{known: at, forks: []fork{{at}}}
}

// Call is a request that is under way.
type Call struct {
	recorder  *Recorder
	operation operation
}

func (r *Recorder) begin(o operation) *Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.known, o.line = r.known, len(r.forks)
	return &Call{r, o}
}

// Add begins a bid, before its request is sent.
func (r *Recorder) Add(client int, l List, bid int32) *Call {
	return r.begin(operation{client: client, kind: add, list: l, bid: bid})
}

// Remove begins the cancellation of a bid.
func (r *Recorder) Remove(client int, l List, bid int32) *Call {
	return r.begin(operation{client: client, kind: remove, list: l, bid: bid})
}

// Read begins a read of the whole list, with its Min-LSN, 0 for none.
func (r *Recorder) Read(client int, l List, min lsn.LSN) *Call {
	return r.begin(operation{client: client, kind: read, list: l, min: min})
}

// Clear begins the removal of all bids of all lists.
func (r *Recorder) Clear(client int) *Call {
	r.mu.Lock()
	r.clears++
	r.mu.Unlock()
	return r.begin(operation{client: client, kind: clearAll})
}

// Clears is how many calls of Clear have begun.
func (r *Recorder) Clears() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clears
}

// Again is another call that may have taken effect besides this one. It is for a repeated bid: if the first bid was
// cleared together with its key, the repetition is placed too.
func (c *Call) Again() *Call { return &Call{c.recorder, c.operation} }

// Done ends the call of a write with its Commit-LSN.
func (c *Call) Done(at lsn.LSN) { c.Shown(at, at) }

// Shown ends the call of a read with its Read-LSN and its bids in any order. upTo is a position at or above all that
// the read shows: the Read-LSN itself if the answer is exact, otherwise what the primary had flushed after the answer
// was there. If nothing is known, upTo is the highest LSN of all; then the read is not judged, because it could be
// put anywhere.
func (c *Call) Shown(at, upTo lsn.LSN, bids ...int32) {
	r, o := c.recorder, c.operation
	slices.Sort(bids)
	o.at, o.upTo, o.bids = at, upTo, bids
	r.mu.Lock()
	defer r.mu.Unlock()
	r.operations = append(r.operations, o)
	r.known = max(r.known, at)
}

// ShownInPart is Shown for an answer of the primary.
func (c *Call) ShownInPart(at, upTo lsn.LSN, bids ...int32) {
	c.operation.inPart = true
	c.Shown(at, upTo, bids...)
}

// Lost ends the call of a write without an answer that says whether it was done. A read without an answer
// need not be recorded.
func (c *Call) Lost() {
	c.recorder.mu.Lock()
	defer c.recorder.mu.Unlock()
	c.recorder.operations = append(c.recorder.operations, c.operation)
}

// Fork notes that the primary's history left its line at a position that is before the last one, and went on with a
// new line.
func (r *Recorder) Fork(at lsn.LSN) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forks = append(r.forks, fork{at})
	r.known = at
}

// Counts returns the numbers of writes and reads.
func (r *Recorder) Counts() (writes, reads int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range r.operations {
		if o.kind == read {
			reads++
		} else {
			writes++
		}
	}
	return writes, reads
}
