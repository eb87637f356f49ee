package api

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Nobody learns from the answer whether a login exists.
func TestUnknownLoginLooksLikeAWrongPassword(t *testing.T) {
	s := newService(t)
	login := func(body string) response {
		return s.do("POST", "/v1/login", body, http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"same"}})
	}
	known, unknown := login(`{"login":"user1","password":"wrong"}`), login(`{"login":"nobody","password":"wrong"}`)
	if string(known.body) != string(unknown.body) || known.StatusCode != unknown.StatusCode {
		t.Errorf("%s and %s", known.body, unknown.body)
	}
	for _, h := range []http.Header{known.Header, unknown.Header} {
		h.Del("Date")
	}
	if len(known.Header) != len(unknown.Header) {
		t.Errorf("headers %v and %v", known.Header, unknown.Header)
	}
}

// "Not done" and "perhaps done" are different problems, and the second asks for a retry only if there is a key.
func TestUnknownOutcomes(t *testing.T) {
	for _, c := range []struct {
		err   error
		key   string
		kind  web.Kind
		retry bool
	}{
		{bid.ErrUnavailable, "", web.Unavailable, true}, {bid.ErrBusy, "", web.Busy, true}, {bid.ErrLocked, "k", web.RaffleLocked, true},
		{bid.ErrUnknownOutcome, "", web.OutcomeUnknown, false}, {bid.ErrUnknownOutcome, "k", web.OutcomeUnknown, true},
		{raffle.ErrUnknownOutcome, "", web.OutcomeUnknown, false},
	} {
		err := keyed(fmt.Errorf("place: %w", c.err), c.key)
		var p *web.Problem
		if !errors.As(err, &p) {
			p = problem(err)
		}
		if p == nil || p.Type != c.kind.URI || (p.RetryAfter > 0) != c.retry || !errors.Is(err, c.err) {
			t.Errorf("%v with key %q: %+v", c.err, c.key, p)
		}
	}
}
