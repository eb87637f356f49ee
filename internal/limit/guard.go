package limit

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Guard holds the limits of users and addresses. Its methods name the limits that a request comes near to in the
// headers of the answer, see headers.go.
type Guard struct {
	users          gate[int64]
	addresses      gate[netip.Addr]
	logins         gate[string]
	loginAddresses gate[netip.Addr]
	reads          gate[netip.Addr]
	proxies        web.Proxies
}

// NewGuard registers its metric.
func NewGuard(rates Rates, proxies web.Proxies, reg prometheus.Registerer) *Guard {
	limited := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "http_rate_limited_total", Help: "Requests refused because their user or their address sends too many."}, []string{"by"})
	for _, by := range []string{"user", "address", "login", "login-address", "read"} {
		limited.WithLabelValues(by)
	}
	reg.MustRegister(limited)
	return &Guard{users: newGate[int64]("user", rates.User, limited), addresses: newGate[netip.Addr]("address", rates.Address, limited),
		logins: newGate[string]("login", rates.Login, limited), loginAddresses: newGate[netip.Addr]("login-address", rates.LoginAddress, limited),
		reads: newGate[netip.Addr]("read", rates.Read, limited), proxies: proxies}
}

// User returns 0 or how long a user has to wait.
func (g *Guard) User(w http.ResponseWriter, id int64, now time.Time) time.Duration {
	return g.users.pass(w, id, 1, 0, now)
}

// Address returns 0 or how long the address of a request has to wait.
func (g *Guard) Address(w http.ResponseWriter, r *http.Request, now time.Time) time.Duration {
	if g.addresses.limiter == nil {
		return 0
	}
	return g.addresses.pass(w, g.proxies.Client(r), 1, 0, now)
}

// LoginAddress returns 0 or how long the address of a login, a registration or a request with a refresh token has to wait.
func (g *Guard) LoginAddress(w http.ResponseWriter, r *http.Request, now time.Time) time.Duration {
	if g.loginAddresses.limiter == nil {
		return 0
	}
	return g.loginAddresses.pass(w, g.proxies.Client(r), 1, 0, now)
}

// Login returns 0 or how long an attempt to log in has to wait, for its address or for its login. An attempt that is
// refused because of its address takes nothing from the login's rate.
func (g *Guard) Login(w http.ResponseWriter, r *http.Request, login string, now time.Time) time.Duration {
	if wait := g.LoginAddress(w, r, now); wait > 0 {
		return wait
	}
	return g.logins.pass(w, login, 1, 0, now)
}

// Read charges a read's weight to its address, and returns 0 or how long the address has to wait. before is what the read
// was already charged; the wait is for both. A nil Guard limits nothing.
func (g *Guard) Read(w http.ResponseWriter, r *http.Request, weight, before int, now time.Time) time.Duration {
	if g == nil || g.reads.limiter == nil || weight <= 0 {
		return 0
	}
	return g.reads.pass(w, g.proxies.Client(r), weight, before, now)
}

// ReadMore charges the address for a further weight that a read turned out to have.
func (g *Guard) ReadMore(w http.ResponseWriter, r *http.Request, weight int, now time.Time) {
	if g == nil || g.reads.limiter == nil {
		return
	}
	if s := g.reads.limiter.Owe(g.proxies.Client(r), weight, now); s.Low {
		g.reads.policy.announce(w.Header(), s)
	}
}

// gate is a limit with its name.
type gate[K comparable] struct {
	limiter *Limiter[K]
	name    string
	policy  policy
	limited *prometheus.CounterVec
}

func newGate[K comparable](name string, r Rate, limited *prometheus.CounterVec) gate[K] {
	if r == (Rate{}) {
		return gate[K]{}
	}
	return gate[K]{NewLimiter[K](r), name, newPolicy(name, r), limited}
}

// pass returns 0 or how long a request has to wait, for this limit and for the limits that it has just exhausted.
func (g *gate[K]) pass(w http.ResponseWriter, key K, tokens, before int, now time.Time) time.Duration {
	s := g.limiter.Take(key, tokens, before, now)
	if !s.Low && s.Wait == 0 {
		return 0
	}
	h := w.Header()
	others := exhausted(h)
	g.policy.announce(h, s)
	if s.Wait == 0 {
		return 0
	}
	g.limited.WithLabelValues(g.name).Inc()
	return max(s.Wait, others)
}
