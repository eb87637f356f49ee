package drill

import "slices"

// feedLog is what a follower of a raffle's feed has received, in order.
type feedLog struct {
	events []feedEvent
}

// feedEvent is a bid, or a reset and what was read after it.
type feedEvent struct {
	bid   int64   // 0: a reset
	again []int64 // after a reset: the bids that were read anew
}

func (l *feedLog) bid(id int64)           { l.events = append(l.events, feedEvent{bid: id}) }
func (l *feedLog) reset(again []int64)    { l.events = append(l.events, feedEvent{again: again}) }
func (e *feedEvent) is(id int64) bool     { return e.bid == id }
func (e *feedEvent) reread(id int64) bool { return e.bid == 0 && slices.Contains(e.again, id) }

// resets is the number of gaps that the follower was told of.
func (l *feedLog) resets() (n int) {
	for _, e := range l.events {
		if e.bid == 0 {
			n++
		}
	}
	return n
}

// missing returns those of the acknowledged bids that came neither as an event nor in a reading after a reset.
func (l *feedLog) missing(acknowledged []int64) (lost []int64) {
	for _, id := range acknowledged {
		if !slices.ContainsFunc(l.events, func(e feedEvent) bool { return e.is(id) || e.reread(id) }) {
			lost = append(lost, id)
		}
	}
	return lost
}

// repeated returns the bids that came twice without a reset in between. After a reset the feed may repeat events.
func (l *feedLog) repeated() (twice []int64) {
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
