package limit

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Guard holds the limits of users and addresses.
type Guard struct {
	users          *Limiter[int64]
	addresses      *Limiter[netip.Addr]
	logins         *Limiter[string]
	loginAddresses *Limiter[netip.Addr]
	reads          *Limiter[netip.Addr]
	proxies        web.Proxies
	limited        *prometheus.CounterVec
}

// NewGuard registers its metric.
func NewGuard(rates Rates, proxies web.Proxies, reg prometheus.Registerer) *Guard {
	g := &Guard{users: NewLimiter[int64](rates.User), addresses: NewLimiter[netip.Addr](rates.Address),
		logins: NewLimiter[string](rates.Login), loginAddresses: NewLimiter[netip.Addr](rates.LoginAddress),
		reads: NewLimiter[netip.Addr](rates.Read), proxies: proxies,
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rate_limited_total", Help: "Requests refused because their user or their address sends too many."}, []string{"by"})}
	reg.MustRegister(g.limited)
	return g
}

// User returns 0 or how long a user has to wait.
func (g *Guard) User(id int64, now time.Time) time.Duration {
	return g.count("user", g.users.Take(id, 1, now))
}

// Address returns 0 or how long the address of a request has to wait.
func (g *Guard) Address(r *http.Request, now time.Time) time.Duration {
	if g.addresses == nil {
		return 0
	}
	return g.count("address", g.addresses.Take(g.proxies.Client(r), 1, now))
}

// LoginAddress returns 0 or how long the address of a login, a registration or a request with a refresh token has to wait.
func (g *Guard) LoginAddress(r *http.Request, now time.Time) time.Duration {
	if g.loginAddresses == nil {
		return 0
	}
	return g.count("login-address", g.loginAddresses.Take(g.proxies.Client(r), 1, now))
}

// Login returns 0 or how long an attempt to log in has to wait, for its address or for its login. An attempt that is
// refused because of its address takes nothing from the login's rate.
func (g *Guard) Login(r *http.Request, login string, now time.Time) time.Duration {
	if wait := g.LoginAddress(r, now); wait > 0 {
		return wait
	}
	return g.count("login", g.logins.Take(login, 1, now))
}

// Read returns 0 or how long the address of a read of this weight has to wait. A nil Guard limits nothing.
func (g *Guard) Read(r *http.Request, weight int, now time.Time) time.Duration {
	if g == nil || g.reads == nil || weight <= 0 {
		return 0
	}
	return g.count("read", g.reads.Take(g.proxies.Client(r), weight, now))
}

// ReadMore charges the address for a further weight that a read turned out to have.
func (g *Guard) ReadMore(r *http.Request, weight int, now time.Time) {
	if g != nil && g.reads != nil {
		g.reads.Owe(g.proxies.Client(r), weight, now)
	}
}

func (g *Guard) count(by string, wait time.Duration) time.Duration {
	if wait > 0 {
		g.limited.WithLabelValues(by).Inc()
	}
	return wait
}
