package opsfeed

import (
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// A lag is told from lagsFrom on, and its end below lagsTo, so that a lag near the bound is told once.
const (
	lagsFrom = 2 * time.Second
	lagsTo   = time.Second
)

// changes are events that are seen by comparing two looks, a second apart.
type changes struct {
	lags, held bool
	nodes      map[string]nodeSeen
	last       time.Time // of the last call
	rest       int       // calls in which nodes are not looked at
}

// A process that was stopped has old answers of the nodes. It looks at them again once it has asked anew.
const (
	wasStopped = 3 * time.Second
	restLooks  = 3
)

type nodeSeen struct {
	role     string
	timeline uint32
	gone     bool
}

// of tells what has changed since the last call. A lag without a read model is told by the rebuild.
func (c *changes) of(now time.Time, s status.Status, nodes []wal.Sight, tell func(kind opspage.Kind, args ...any)) {
	lag := time.Duration(s.LagMillis) * time.Millisecond
	switch {
	case !c.lags && lag >= lagsFrom && s.LSN != "" && s.State == status.Streaming:
		c.lags = true
		tell(opspage.Lags, span(lag))
	case c.lags && lag < lagsTo:
		c.lags = false
		tell(opspage.CaughtUp)
	}
	if held := s.Waits(); held != c.held {
		c.held = held
		if held {
			tell(opspage.HeldBack)
		} else {
			tell(opspage.LetGo)
		}
	}
	if c.nodes == nil {
		c.nodes = make(map[string]nodeSeen)
	}
	if !c.last.IsZero() && now.Sub(c.last) > wasStopped {
		c.rest = restLooks
	}
	c.last = now
	if c.rest > 0 {
		c.rest--
		return
	}
	for _, n := range nodes {
		c.node(n, tell)
	}
}

// node tells of a node that was found, lost, found again, or has another role. A new timeline alone is told as well.
func (c *changes) node(n wal.Sight, tell func(kind opspage.Kind, args ...any)) {
	was, known := c.nodes[n.Server]
	now := nodeSeen{role: role(n), timeline: n.At.Timeline}
	switch {
	case !n.Up && known && !was.gone:
		was.gone = true
		c.nodes[n.Server] = was
		tell(opspage.NodeGone, n.Server, was.role)
		return
	case !n.Up, known && was == now:
		return
	case !known:
		tell(opspage.NodeAppears, n.Server, now.role, now.timeline)
	case was.gone:
		tell(opspage.NodeBack, n.Server, now.role, now.timeline)
	default:
		tell(opspage.NodeChanges, n.Server, was.role, now.role, now.timeline)
	}
	c.nodes[n.Server] = now
}

// role is what a server is. A primary that takes no writes is closed (docs/GLOSSARY.md).
func role(n wal.Sight) string {
	switch {
	case n.Primary && n.Closed:
		return "closed primary"
	case n.Primary:
		return "primary"
	}
	return "standby"
}
