package opspage

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// A request that changes something is let through for a program on this machine, and for an admin. A browser's needs both
// the token and this listener's own page, by a name that no other site has.
func TestWhoMayChangeSomething(t *testing.T) {
	folder, err := auth.OpenFolder(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	signer := auth.NewSigner(folder, time.Hour, time.Now)
	token := func(role string) string {
		text, err := signer.Sign(1, role)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	admin, bidder := token(auth.RoleAdmin), token(auth.RoleBidder)
	with := Guard{Hosts: []string{"ops.example.com"}, Verifier: auth.NewVerifier(folder, time.Now)}
	const here, there, page = "127.0.0.1:5000", "192.0.2.1:5000", "http://127.0.0.1:8083"
	for _, c := range []struct {
		name               string
		guard              Guard
		from, host         string
		origin, site, auth string
		want               int // 0: let through
	}{
		{"a program here", Guard{}, here, "127.0.0.1:8083", "", "", "", 0},
		{"a program here, by a short name", Guard{}, here, "replicator-1:8083", "", "", "", 0},
		{"a program elsewhere", Guard{}, there, "127.0.0.1:8083", "", "", "", 403},
		{"a program elsewhere, tokens count", with, there, "127.0.0.1:8083", "", "", "", 401},
		{"a program elsewhere, an admin", with, there, "127.0.0.1:8083", "", "", admin, 0},
		{"a program here with a bad token", with, here, "127.0.0.1:8083", "", "", "Bearer x", 401},
		{"the page, no tokens count", Guard{}, here, "127.0.0.1:8083", page, "same-origin", admin, 403},
		{"the page without a token", with, here, "127.0.0.1:8083", page, "same-origin", "", 401},
		{"the page of a bidder", with, here, "127.0.0.1:8083", page, "same-origin", bidder, 403},
		{"the page of an admin", with, here, "127.0.0.1:8083", page, "same-origin", admin, 0},
		{"the page of an admin, a listed name", with, here, "ops.example.com:8083", "https://ops.example.com:8083", "", admin, 0},
		{"another page", with, here, "127.0.0.1:8083", "https://evil.example.com", "cross-site", admin, 403},
		{"another port of this machine", with, here, "127.0.0.1:8083", "http://127.0.0.1:3000", "same-site", admin, 403},
		{"a page without an origin", with, here, "127.0.0.1:8083", "null", "cross-site", admin, 403},
		{"a browser that hides the origin", with, here, "127.0.0.1:8083", "", "cross-site", "", 403},
		{"a name that was led here", with, here, "evil.example.com:8083", "http://evil.example.com:8083", "same-origin", admin, 403},
		{"a program by a name that was led here", Guard{}, here, "evil.example.com", "", "", "", 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "/v1/rebuild", nil)
		r.RemoteAddr, r.Host = c.from, c.host
		for name, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site, "Authorization": c.auth} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		err, got := c.guard.Change(r), 0
		if err != nil {
			got = problem(err).Status
		}
		if got != c.want {
			t.Errorf("%s: %d (%v), want %d", c.name, got, err, c.want)
		}
		var known *web.Problem
		if err != nil && !errors.As(err, &known) && Problem(err) == nil {
			t.Errorf("%s: a service's own routes can't tell %v", c.name, err)
		}
	}
}
