package wal

import (
	"io"
	"sync/atomic"
	"time"
)

// The walsender sends each row as a packet of its own. A fast reader wakes up for each packet, which costs client and
// server more than the row itself. So after streak small reads within window the reader rests, and its next read finds
// many packets. Single transactions, even one after the other, do not wait.
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
	began atomic.Int64 // when the running read began, since zero; 0: none runs
}

// zero is the zero of monotonic times.
var zero = time.Now()

// waiting is how long the running read has taken so far.
func (g *gatherer) waiting(now time.Time) time.Duration {
	began := g.began.Load()
	if began == 0 {
		return 0
	}
	return now.Sub(zero) - time.Duration(began)
}

func (g *gatherer) Read(p []byte) (int, error) {
	if g.small >= streak {
		g.small = 0
		if time.Since(g.since) < window {
			<-time.After(rest)
		}
	}
	g.began.Store(max(int64(time.Since(zero)), 1))
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
