package live

import (
	"net/netip"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Bounds limit the subscribers of the feed, and separately the sessions of socket.io.
type Bounds struct {
	All       int // subscribers, and sessions of socket.io
	OfAddress int // the same, of one client address
	// Proxies are the networks whose X-Forwarded-For is believed.
	Proxies web.Proxies
}

// census counts subscribers or sessions, in all and by client address. Its owner's lock guards it.
type census struct {
	bounds Bounds
	all    int
	of     map[netip.Addr]int
}

func newCensus(b Bounds) census { return census{bounds: b, of: make(map[netip.Addr]int)} }

// enter counts one more, unless a bound is reached.
func (c *census) enter(a netip.Addr) bool {
	if c.all >= c.bounds.All || c.of[a] >= c.bounds.OfAddress {
		return false
	}
	c.all++
	c.of[a]++
	return true
}

func (c *census) leave(a netip.Addr) {
	c.all--
	if c.of[a]--; c.of[a] == 0 {
		delete(c.of, a)
	}
}
