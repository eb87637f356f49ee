package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Tokens are what a session logs in with. Their holder can act as the user.
type Tokens struct {
	Access, Refresh string
	// Expires is when the access token runs out, RefreshExpires when the refresh token does. From RefreshExpires on only a
	// login gives tokens.
	Expires, RefreshExpires time.Time
}

// ErrLoggedOut is the error of a session after its Logout.
var ErrLoggedOut = errors.New("the session has logged out")

// refreshError is why a call has no token. The refresh was tried as often as any call.
type refreshError struct{ cause error }

func (e *refreshError) Error() string { return "refresh the token: " + e.cause.Error() }
func (e *refreshError) Unwrap() error { return e.cause }

const (
	// margin is how long before its end an access token is refreshed, at most.
	margin = 30 * time.Second
	// tradePause is how long after a trade that has failed the next one begins, if the access token is still good.
	tradePause = 5 * time.Second
)

// tokens keeps the tokens of a session. A refresh token may be traded once, so all that need a new access token share one
// trade.
type tokens struct {
	client *Client // without a login

	mu    sync.Mutex
	now   Tokens
	renew time.Time // from when on a good access token is refreshed
	trade *trade    // under way
}

// trade is one exchange of the refresh token, which ends when done is closed.
type trade struct {
	done  chan struct{}
	token string
	err   error
}

// access returns an access token that is not the refused one. It trades the refresh token if it has to, and waits for the new
// token if the present one is refused or expired.
func (t *tokens) access(ctx context.Context, refused string) (string, error) {
	t.mu.Lock()
	held, now := t.now, time.Now()
	if held.Access == "" && held.Refresh == "" {
		t.mu.Unlock()
		return "", &refreshError{ErrLoggedOut}
	}
	good := held.Access != refused && now.Before(held.Expires)
	if t.trade == nil && (!good || !now.Before(t.renew)) {
		t.trade = &trade{done: make(chan struct{})}
		go t.refresh(context.WithoutCancel(ctx), t.trade, held)
	}
	under := t.trade
	t.mu.Unlock()
	if good {
		return held.Access, nil
	}
	select {
	case <-under.done:
	case <-ctx.Done():
		return "", &refreshError{context.Cause(ctx)}
	}
	if under.err != nil {
		return "", &refreshError{under.err}
	}
	return under.token, nil
}

// refresh trades the refresh token. It goes on if the caller's context ends, because others wait for it, and because an
// answer that nobody reads would use the token up. Sent again within 30 s, the request gets the same answer.
func (t *tokens) refresh(ctx context.Context, under *trade, old Tokens) {
	var answer tokenAnswer
	_, err := t.client.do(ctx, call{method: http.MethodPost, target: "/v1/token", repeatable: true,
		body: map[string]string{"refresh_token": old.Refresh}}, &answer)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.renew = time.Now().Add(tradePause)
	if under.err = err; err == nil {
		t.take(answer)
		under.token = t.now.Access
	}
	t.trade = nil
	close(under.done)
}

// tokenAnswer is what a login and a trade answer. The times are in seconds from now.
type tokenAnswer struct {
	Access         string `json:"access_token"`
	Refresh        string `json:"refresh_token"`
	Expires        int64  `json:"expires_in"`
	RefreshExpires int64  `json:"refresh_expires_in"`
}

// take enters new tokens. The caller holds the lock, unless nobody else knows t.
func (t *tokens) take(a tokenAnswer) {
	now, life := time.Now(), time.Duration(a.Expires)*time.Second
	t.now = Tokens{a.Access, a.Refresh, now.Add(life), now.Add(time.Duration(a.RefreshExpires) * time.Second)}
	t.renew = t.now.Expires.Add(-min(margin, life/4))
}

// end waits for a trade that is under way. Then it forgets the tokens and returns them.
func (t *tokens) end(ctx context.Context) (Tokens, error) {
	for {
		t.mu.Lock()
		under := t.trade
		if under == nil {
			defer t.mu.Unlock()
			old := t.now
			t.now = Tokens{}
			return old, nil
		}
		t.mu.Unlock()
		select {
		case <-under.done:
		case <-ctx.Done():
			return Tokens{}, fmt.Errorf("log out: %w", context.Cause(ctx))
		}
	}
}

// keep puts tokens back that end has returned.
func (t *tokens) keep(old Tokens) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now = old
}
