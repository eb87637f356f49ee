package feed

// Log is what a follower of a raffle's feed has received, in order. The zero value is empty.
type Log struct {
	events []event
}

// event is a bid, or a reset and what was read after it.
type event struct {
	bid   int64   // 0: a reset
	again []int64 // after a reset: the bids that were read anew
}

// Bid enters the event of a bid.
func (l *Log) Bid(id int64) { l.events = append(l.events, event{bid: id}) }

// Reset enters a reset and the bids that were read anew because of it.
func (l *Log) Reset(again []int64) { l.events = append(l.events, event{again: again}) }

// Resets is the number of gaps that the follower was told of.
func (l *Log) Resets() (n int) {
	for _, e := range l.events {
		if e.bid == 0 {
			n++
		}
	}
	return n
}

// Missing returns those of the bids that came neither as an event nor in a reading after a reset.
func (l *Log) Missing(bids []int64) (lost []int64) {
	came := make(map[int64]bool)
	for _, e := range l.events {
		came[e.bid] = true
		for _, id := range e.again {
			came[id] = true
		}
	}
	for _, id := range bids {
		if !came[id] {
			lost = append(lost, id)
		}
	}
	return lost
}

// Repeated returns the bids that came twice without a reset in between. After a reset the feed may repeat events.
func (l *Log) Repeated() (twice []int64) {
	since := make(map[int64]bool)
	for _, e := range l.events {
		switch {
		case e.bid == 0:
			clear(since)
		case since[e.bid]:
			twice = append(twice, e.bid)
		default:
			since[e.bid] = true
		}
	}
	return twice
}
