package limit

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Proxies are the networks whose X-Forwarded-For is believed, besides the loopback ones.
type Proxies []netip.Prefix

// UnmarshalText reads networks such as "10.0.0.0/8,192.0.2.1/32".
func (p *Proxies) UnmarshalText(text []byte) error {
	var read Proxies
	for part := range strings.SplitSeq(string(text), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return err
		}
		read = append(read, prefix.Masked())
	}
	*p = read
	return nil
}

func (p Proxies) trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return a.IsLoopback()
}

// Client is the address that a request came from: the peer or, if that is a proxy to be believed, the last
// address of X-Forwarded-For, which is the one that the proxy has seen itself. Of IPv6 it is the /64
// network, since a client has all of one.
func (p Proxies) Client(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr) // not from net/http: all such share a bucket
	client := peer.Addr().Unmap()
	if forwarded := r.Header.Values("X-Forwarded-For"); len(forwarded) > 0 && p.trust(client) {
		list := forwarded[len(forwarded)-1]
		last := strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:])
		if a, err := netip.ParseAddr(last); err == nil {
			client = a.Unmap()
		}
	}
	if client.Is6() {
		client = netip.PrefixFrom(client.WithZone(""), 64).Masked().Addr()
	}
	return client
}

// Guard holds the limits of users and addresses.
type Guard struct {
	users     *Limiter[int64]
	addresses *Limiter[netip.Addr]
	proxies   Proxies
	limited   *prometheus.CounterVec
}

// NewGuard registers its metric.
func NewGuard(rates Rates, proxies Proxies, reg prometheus.Registerer) *Guard {
	g := &Guard{users: NewLimiter[int64](rates.User), addresses: NewLimiter[netip.Addr](rates.Address), proxies: proxies,
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rate_limited_total", Help: "Requests refused because their user or their address sends too many."}, []string{"by"})}
	reg.MustRegister(g.limited)
	return g
}

// User returns 0 or how long a user has to wait.
func (g *Guard) User(id int64, now time.Time) time.Duration {
	return g.count("user", g.users.Take(id, now))
}

// Address returns 0 or how long the address of a request has to wait.
func (g *Guard) Address(r *http.Request, now time.Time) time.Duration {
	if g.addresses == nil {
		return 0
	}
	return g.count("address", g.addresses.Take(g.proxies.Client(r), now))
}

func (g *Guard) count(by string, wait time.Duration) time.Duration {
	if wait > 0 {
		g.limited.WithLabelValues(by).Inc()
	}
	return wait
}
