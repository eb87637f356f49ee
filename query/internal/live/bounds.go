package live

import (
	"net/netip"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Bounds are how much there may be at once.
type Bounds struct {
	All       int // subscribers, and sessions of socket.io
	OfAddress int // the same, of one client address
	// Proxies are those whose word for the client's address is taken.
	Proxies web.Proxies
}

// census counts who is there, in all and by address. Its owner's lock guards it.
type census struct {
	bounds Bounds
	all    int
	of     map[netip.Addr]int
}

func newCensus(b Bounds) census { return census{bounds: b, of: make(map[netip.Addr]int)} }

// enter counts one more, unless there are too many.
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
