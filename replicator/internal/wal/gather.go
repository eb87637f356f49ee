package wal

import (
	"io"
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
}

func (g *gatherer) Read(p []byte) (int, error) {
	if g.small >= streak {
		g.small = 0
		if time.Since(g.since) < window {
			<-time.After(rest)
		}
	}
	n, err := g.from.Read(p)
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
