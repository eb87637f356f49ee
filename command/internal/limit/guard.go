package limit

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Proxies are the networks whose X-Forwarded-For is believed, besides the loopback ones.
type Proxies = web.Proxies

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
