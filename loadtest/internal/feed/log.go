package feed

// Log holds what a follower of a raffle's feed has received. The zero value is empty.
type Log struct {
	came   map[int64]bool // as an event or in a reading after a reset
	since  map[int64]bool // as an event since the last reset
	twice  []int64
	resets int
}

// Bid enters the event of a bid.
func (l *Log) Bid(id int64) {
	if l.since[id] {
		l.twice = append(l.twice, id)
	}
	l.since = with(l.since, id)
	l.came = with(l.came, id)
}

// Reset enters a reset and the bids that were read anew because of it.
func (l *Log) Reset(again []int64) {
	l.resets++
	l.since = nil
	l.came = with(l.came, again...)
}

func with(set map[int64]bool, ids ...int64) map[int64]bool {
	if set == nil {
		set = make(map[int64]bool)
	}
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// Resets is the number of gaps that the follower was told of.
func (l *Log) Resets() int { return l.resets }

// Missing returns those of the bids that came neither as an event nor in a reading after a reset.
func (l *Log) Missing(bids []int64) (lost []int64) {
	for _, id := range bids {
		if !l.came[id] {
			lost = append(lost, id)
		}
	}
	return lost
}

// Repeated returns the bids that came twice without a reset in between. After a reset the feed may repeat events.
func (l *Log) Repeated() []int64 { return l.twice }
