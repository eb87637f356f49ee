package opspage

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Guard decides who may see the page and who may change something. The listener asks for no password, so a page that an
// operator has open in a browser must not be able to use it. Two ways lead there. A page of another site may send a POST
// (cross-site request forgery): a browser's POST counts only with the token of an admin, which is in no cookie, and with
// this listener's own origin. And a site may let its own name lead to this listener, so that the browser takes both for
// one site (DNS rebinding): only names that no other site can have are answered.
type Guard struct {
	Hosts []string // further names by which the listener may be asked, without ports
	// Verifier checks the tokens; nil: none counts, so that browsers change nothing.
	Verifier *auth.Verifier
}

func (g Guard) operable() bool { return g.Verifier != nil }

// Host refuses a request by a name that another site may have. An address, localhost and names without a dot can't be
// registered by anybody.
func (g Guard) Host(r *http.Request) error {
	name := r.Host
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	_, err := netip.ParseAddr(name)
	if err == nil || !strings.Contains(name, ".") || slices.Contains(g.Hosts, name) {
		return nil
	}
	return web.ForeignOrigin.Problem("this listener is not known by the name in the request; OPS_HOSTS names further ones")
}

// Change refuses a request that changes something, unless it comes from a program on this machine or has the token of an
// admin. A browser needs the token wherever it runs, and a page of this listener.
func (g Guard) Change(r *http.Request) error {
	if err := g.Host(r); err != nil {
		return err
	}
	browser := r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
	if browser && !sameOrigin(r) {
		return web.ForeignOrigin.Problem("only the page of this listener may do this in a browser")
	}
	if !browser && r.Header.Get("Authorization") == "" && fromHere(r) {
		return nil
	}
	return g.Admin(r)
}

// Admin refuses a request without the token of an admin.
func (g Guard) Admin(r *http.Request) error {
	if !g.operable() {
		return web.AdminsOnly.Problem("this takes tokens only if JWKS_URL says where their keys are; use the commands on its machine")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return web.NoToken.Problem("send the token of an admin: Authorization: Bearer ...")
	}
	who, err := g.Verifier.Verify(r.Context(), token)
	if err != nil {
		return err
	}
	if who.Role != auth.RoleAdmin {
		return web.AdminsOnly.Problem("this is for admins")
	}
	return nil
}

// sameOrigin says whether a browser's request comes from a page of this listener. A browser sends the origin with each
// POST, and no page can change it.
func sameOrigin(r *http.Request) bool {
	origin, err := url.Parse(r.Header.Get("Origin"))
	site := r.Header.Get("Sec-Fetch-Site")
	return err == nil && origin.Host != "" && origin.Host == r.Host && (site == "" || site == "same-origin")
}

// fromHere says whether a request comes from this machine: from loopback, or from the address that it was sent to.
func fromHere(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	if from.Addr().Unmap().IsLoopback() {
		return true
	}
	local, is := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return is && local.AddrPort().Addr().Unmap() == from.Addr().Unmap()
}

// problem is the answer to an error of this package.
func problem(err error) *web.Problem {
	var p *web.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, errFull):
		return web.Busy.Problem(err.Error()).Retry(5 * time.Second)
	case errors.Is(err, auth.ErrToken):
		return web.BadToken.Problem("the token is not valid, or has expired")
	case errors.Is(err, auth.ErrNoKeys):
		return web.Unavailable.Problem("the keys of the tokens can't be read now").Retry(time.Second)
	}
	return web.Internal.Problem("something went wrong here")
}

// Problem is problem for a service's own routes; nil for errors that are not of this package.
func Problem(err error) *web.Problem {
	if errors.Is(err, auth.ErrToken) || errors.Is(err, auth.ErrNoKeys) {
		return problem(err)
	}
	return nil
}
