package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// call sends a body with a token, if there is one.
func (s *service) call(method, path, token, body string) response {
	s.t.Helper()
	h := http.Header{"Content-Type": {"application/json"}}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	return s.do(method, path, body, h)
}

func (r response) tokens(t testing.TB) (d tokenDocument) {
	t.Helper()
	if err := json.Unmarshal(r.body, &d); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("no tokens: %d %s %v", r.StatusCode, r.body, err)
	}
	return d
}

// holds fails the test if the answer is no problem of the kind.
func (r response) holds(t testing.TB, kind web.Kind) {
	t.Helper()
	var p struct{ Type string }
	if err := json.Unmarshal(r.body, &p); err != nil || r.StatusCode != kind.Status || p.Type != kind.URI {
		t.Errorf("%d %s, want %s", r.StatusCode, r.body, kind.URI)
	}
}

func TestRefreshAndLogout(t *testing.T) {
	s := newService(t)
	first := s.call("POST", "/v1/login", "", `{"login":"user2","password":"pyramid"}`).tokens(t)
	if first.RefreshExpiresIn != 24*3600 {
		t.Errorf("%+v", first)
	}
	with := func(token string) string { return fmt.Sprintf(`{"refresh_token":%q}`, token) }
	second := s.call("POST", "/v1/token", "", with(first.RefreshToken)).tokens(t)
	if second.RefreshToken == first.RefreshToken || second.RefreshExpiresIn > first.RefreshExpiresIn || second.ExpiresIn != 3600 {
		t.Errorf("%+v after %+v", second, first)
	}
	for user, token := range map[int64]string{2: second.AccessToken, fixture.Admin: s.token(fixture.Admin)} {
		me := s.call("GET", "/v1/me", token, "")
		var u userDocument
		if err := json.Unmarshal(me.body, &u); err != nil || u.ID != user || me.Header.Get("Cache-Control") != "no-store" ||
			u.Login != map[int64]string{2: "user2", fixture.Admin: "admin"}[user] || (u.Role == "admin") != (user == fixture.Admin) {
			t.Errorf("%d %s %v", me.StatusCode, me.body, err)
		}
	}
	third := s.call("POST", "/v1/token", "", with(second.RefreshToken)).tokens(t)
	s.call("POST", "/v1/token", "", with(first.RefreshToken)).holds(t, web.RefreshTokenReused)
	s.call("POST", "/v1/token", "", with(third.RefreshToken)).holds(t, web.BadRefreshToken)
	last := s.call("POST", "/v1/login", "", `{"login":"user2","password":"pyramid"}`).tokens(t)
	for range 2 {
		if out := s.call("POST", "/v1/logout", "", with(last.RefreshToken)); out.StatusCode != http.StatusNoContent || len(out.body) != 0 {
			t.Errorf("%d %s", out.StatusCode, out.body)
		}
	}
	s.call("POST", "/v1/token", "", with(last.RefreshToken)).holds(t, web.BadRefreshToken)
	s.post("1", last.AccessToken, "", goodBid).bid(t) // access tokens run out by themselves
}

func TestChangePassword(t *testing.T) {
	s := newService(t)
	tokens := s.call("POST", "/v1/login", "", `{"login":"user2","password":"pyramid"}`).tokens(t)
	change := func(old string) response {
		return s.call("PUT", "/v1/me/password", tokens.AccessToken, fmt.Sprintf(`{"old_password":%q,"new_password":"Fahrradkette"}`, old))
	}
	change("wrong").holds(t, web.WrongPassword)
	if done := change("pyramid"); done.StatusCode != http.StatusNoContent || len(done.body) != 0 {
		t.Fatalf("%d %s", done.StatusCode, done.body)
	}
	change("pyramid").holds(t, web.WrongPassword)
	s.call("POST", "/v1/token", "", fmt.Sprintf(`{"refresh_token":%q}`, tokens.RefreshToken)).holds(t, web.BadRefreshToken)
	s.call("POST", "/v1/login", "", `{"login":"user2","password":"pyramid"}`).holds(t, web.WrongCredentials)
	s.call("POST", "/v1/login", "", `{"login":"user2","password":"Fahrradkette"}`).tokens(t)
}

// W7: a stolen access token does not help to try passwords.
func TestPasswordChangesAreLimited_W7(t *testing.T) {
	s := newLimitedService(t, limit.Rates{Login: limit.Rate{PerSecond: 0.05, Burst: 2}, LoginAddress: limit.Rate{PerSecond: 0.02, Burst: 5}})
	const guess = `{"old_password":"wrong","new_password":"Fahrradkette"}`
	for i, c := range []struct {
		method, path, body string
		user               int64
		status             int
	}{
		{"PUT", "/v1/me/password", guess, 1, 403}, {"PUT", "/v1/me/password", guess, 1, 403},
		{"PUT", "/v1/me/password", guess, 1, 429}, {"PUT", "/v1/me/password", guess, 2, 403}, // the user
		{"POST", "/v1/token", `{"refresh_token":"x"}`, 3, 401}, {"POST", "/v1/token", `{"refresh_token":"x"}`, 3, 429}, // the address
		{"POST", "/v1/logout", `{"refresh_token":"x"}`, 3, 429}, {"GET", "/v1/me", "", 3, 200},
	} {
		if got := s.call(c.method, c.path, s.token(c.user), c.body); got.StatusCode != c.status {
			t.Errorf("request %d: %d %s, want %d", i, got.StatusCode, got.body, c.status)
		}
	}
}
