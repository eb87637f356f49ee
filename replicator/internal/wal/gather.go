package wal

import (
	"io"
	"sync/atomic"
	"time"
)

// The walsender sends each row as a packet of its own. A reader that is as fast as it wakes up for
// each, which costs both more than the row itself. After streak small reads in a row within window the
// reader rests, so that the next read finds many packets. Lone transactions, even one after the other, never wait.
const (
	smallRead = 4 << 10
	streak    = 32
	window    = time.Millisecond
	rest      = time.Millisecond
)

type gatherer struct {
	from  io.Reader
	small int
	since time.Time
	began atomic.Int64 // when the read that is under way began (as in clock); 0: none is
}

// clock is monotonic.
var clock = time.Now()

// waiting is how long the read that is under way takes already.
func (g *gatherer) waiting(now time.Time) time.Duration {
	began := g.began.Load()
	if began == 0 {
		return 0
	}
	return now.Sub(clock) - time.Duration(began)
}

func (g *gatherer) Read(p []byte) (int, error) {
	if g.small >= streak {
		g.small = 0
		if time.Since(g.since) < window {
			<-time.After(rest)
		}
	}
	g.began.Store(max(int64(time.Since(clock)), 1))
	n, err := g.from.Read(p)
	g.began.Store(0)
	switch {
	case n >= smallRead:
		g.small = 0
	case g.small == 0:
		g.small, g.since = 1, time.Now()
	default:
		g.small++
	}
	return n, err
}
