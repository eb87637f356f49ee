package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// issuer trades tokens as command does: each refresh token once, unless the next one was not used.
type issuer struct {
	mu     sync.Mutex
	traded int  // trades so far; the present tokens are access-N and refresh-N
	asked  int  // trades that were asked for
	fails  bool // trades are refused for now
	ended  bool
	hold   chan struct{} // if it is not nil, trades wait until it is closed
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.hold != nil && r.URL.Path == "/v1/token" {
		<-i.hold
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	var body struct {
		Refresh string `json:"refresh_token"`
	}
	if r.Method == http.MethodPost {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			i.refuse(w, 400, BadBody)
			return
		}
	}
	switch r.URL.Path {
	case "/v1/token":
		i.asked++
		switch {
		case i.fails:
			i.refuse(w, 503, Busy)
		case i.ended || body.Refresh != fmt.Sprintf("refresh-%d", i.traded):
			i.refuse(w, 401, RefreshTokenReused)
		default:
			i.traded++
			fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"refresh-%d","expires_in":3600,"refresh_expires_in":7200}`, i.traded, i.traded)
		}
	case "/v1/logout":
		i.ended = true
		w.WriteHeader(http.StatusNoContent)
	default:
		if r.Header.Get("Authorization") != fmt.Sprintf("Bearer access-%d", i.traded) {
			i.refuse(w, 401, BadToken)
			return
		}
		fmt.Fprint(w, `{"id":1}`)
	}
}

func (i *issuer) refuse(w http.ResponseWriter, status int, kind ProblemType) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":%q}`, kind)
}

func (i *issuer) trades() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.traded
}

// end refuses all tokens from now on.
func (i *issuer) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fails, i.ended = false, true
}

func (i *issuer) start(t *testing.T, expires time.Time, options ...Option) *Session {
	t.Helper()
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	c := New(server.URL, options...)
	t.Cleanup(c.Close)
	return c.Resume(Tokens{Access: "access-0", Refresh: "refresh-0", Expires: expires})
}

// However many calls find the token expired, the refresh token is traded once.
func TestAllCallsShareOneTrade(t *testing.T) {
	i := new(issuer)
	s := i.start(t, time.Now())
	callOften(t, s)
	if n := i.trades(); n != 1 || s.Tokens().Refresh != "refresh-1" {
		t.Errorf("%d trades, %+v", n, s.Tokens())
	}
}

func callOften(t *testing.T, s *Session) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if u, err := s.Me(ctx); err != nil || u.ID != 1 {
				t.Errorf("%+v, %v", u, err)
			}
		})
	}
	calls.Wait()
}

// While a token is good, no call waits for its refresh.
func TestAGoodTokenIsUsedWhileItIsRefreshed(t *testing.T) {
	i := &issuer{hold: make(chan struct{})}
	s := i.start(t, time.Now().Add(margin-time.Second))
	callOften(t, s)
	close(i.hold)
	awaitTrade(s)
	if n := i.trades(); n != 1 || s.Tokens().Refresh != "refresh-1" {
		t.Errorf("%d trades, %+v", n, s.Tokens())
	}
}

// awaitTrade waits for the end of the trade that is under way.
func awaitTrade(s *Session) {
	s.tokens.mu.Lock()
	under := s.tokens.trade
	s.tokens.mu.Unlock()
	if under != nil {
		<-under.done
	}
}

// The refresh token is all that a session needs.
func TestASessionOfARefreshToken(t *testing.T) {
	i := new(issuer)
	s := i.start(t, time.Time{}).Resume(Tokens{Refresh: "refresh-0"})
	if _, err := s.Me(t.Context()); err != nil || s.Tokens().Access != "access-1" {
		t.Errorf("%+v, %v", s.Tokens(), err)
	}
}

// A token that is refused although it has not expired is refreshed by the calls that were refused, once.
func TestARefusedTokenIsRefreshed(t *testing.T) {
	i := new(issuer)
	s := i.start(t, time.Now().Add(time.Hour))
	s.tokens.now.Access = "forged"
	callOften(t, s)
	if n := i.trades(); n != 1 {
		t.Errorf("%d trades", n)
	}
	if err := s.Refresh(t.Context()); err != nil || i.trades() != 2 {
		t.Errorf("%d trades, %v", i.trades(), err)
	}
}

// While tokens can't be traded, a token that has not expired is still used, and not every call tries a trade. A session that is
// over says so.
func TestASessionThatCannotRefresh(t *testing.T) {
	i := &issuer{fails: true}
	s := i.start(t, time.Now().Add(margin-time.Second), WithAttempts(1))
	for range 3 {
		if _, err := s.Me(t.Context()); err != nil {
			t.Errorf("the token is still good: %v", err)
		}
		awaitTrade(s)
	}
	i.end()
	if i.asked != 1 {
		t.Errorf("%d trades were tried", i.asked)
	}
	s.tokens.now.Expires = time.Now()
	if _, err := s.Me(t.Context()); !errors.Is(err, RefreshTokenReused) {
		t.Error(err)
	}
}

// A trade whose answer is lost is sent again with the same token, which then gets the same answer. The call that waits may
// give up; the trade goes on.
func TestATradeWhoseAnswerIsLost(t *testing.T) {
	s := &script{answers: []reply{lost, {status: 200, body: `{"access_token":"b","refresh_token":"s","expires_in":3600}`}, {status: 200, body: `{"id":1}`}}}
	session := s.client().Resume(Tokens{Access: "a", Refresh: "r", Expires: time.Now()})
	left, leave := context.WithCancel(t.Context())
	leave()
	if _, err := session.Me(left); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if u, err := session.Me(t.Context()); err != nil || u.ID != 1 {
		t.Errorf("%+v, %v", u, err)
	}
	if len(s.got) != 3 || session.Tokens().Refresh != "s" || s.got[2].Header.Get("Authorization") != "Bearer b" {
		t.Errorf("%d requests, %+v", len(s.got), session.Tokens())
	}
	for _, r := range s.got[:2] {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != `{"refresh_token":"r"}` {
			t.Errorf("%s, %v", body, err)
		}
	}
}

func TestALogoutEndsTheSession(t *testing.T) {
	i := new(issuer)
	s := i.start(t, time.Now().Add(time.Hour))
	if err := s.Logout(t.Context()); err != nil {
		t.Error(err)
	}
	i.mu.Lock()
	if !i.ended {
		t.Error("the tokens still live")
	}
	i.mu.Unlock()
	if _, err := s.Me(t.Context()); !errors.Is(err, ErrLoggedOut) {
		t.Error(err)
	}
	if err := s.Logout(t.Context()); err != nil {
		t.Error(err)
	}
}
