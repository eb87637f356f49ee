package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// Once a write was perhaps done, its error says so, unless a later answer has told what became of it.
func TestADoubtStaysUntilItIsSettled_W2(t *testing.T) {
	busy, closed := refusal(503, Busy, "1"), refusal(409, RaffleNotOpen, "")
	for name, c := range map[string]struct {
		call    func(context.Context, *Session) error
		answers []reply
		want    error
		doubt   bool
	}{
		"lost":                           {bidOn, []reply{lost}, io.ErrUnexpectedEOF, true},
		"lost, then busy":                {bidOn, []reply{lost, busy}, Busy, true},
		"lost, then a long pause":        {bidOn, []reply{lost, refusal(503, Unavailable, "100")}, Unavailable, true},
		"lost, then too many":            {bidOn, []reply{lost, refusal(429, TooManyRequests, "1")}, TooManyRequests, true},
		"lost, then down":                {bidOn, []reply{lost, refused}, errDown, true},
		"lost, then no token":            {bidOn, []reply{lost, refusal(401, BadToken, ""), refusal(401, BadRefreshToken, "")}, BadRefreshToken, true},
		"lost, then a trade's conflict":  {bidOn, []reply{lost, refusal(401, BadToken, ""), closed}, RaffleNotOpen, true},
		"lost, then not allowed":         {bidOn, []reply{lost, refusal(403, AdminsOnly, "")}, AdminsOnly, true},
		"broken off, then busy":          {bidOn, []reply{refusal(502, OutcomeUnknown, ""), busy}, Busy, true},
		"too late, then busy":            {bidOn, []reply{refusal(504, Blank, ""), busy}, Busy, true},
		"503 of another, then busy":      {bidOn, []reply{refusal(503, Blank, "1"), busy}, Busy, true},
		"a cancellation, then the close": {cancelIt, []reply{lost, closed}, RaffleNotOpen, true},
		"an answer without JSON":         {bidOn, []reply{{status: 201, body: "<"}}, errUnreadable, true},
		"a password, lost":               {newPassword, []reply{lost}, io.ErrUnexpectedEOF, true},
		"a password, 503 of another":     {newPassword, []reply{refusal(503, Blank, "1")}, Blank, true},
		"lost, then the close":           {bidOn, []reply{lost, closed}, RaffleNotOpen, false},
		"lost, then a wrong value":       {bidOn, []reply{lost, refusal(422, BadValue, "")}, BadValue, false},
		"lost, then no raffle":           {bidOn, []reply{lost, refusal(404, UnknownRaffle, "")}, UnknownRaffle, false},
		"busy":                           {bidOn, []reply{busy}, Busy, false},
		"down":                           {bidOn, []reply{refused}, errDown, false},
		"a read, lost, then busy":        {readOne, []reply{lost, busy}, Busy, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s := &script{answers: c.answers}
				err := c.call(ctx, s.session(WithAttempts(max(2, len(c.answers)))))
				if !errors.Is(err, c.want) || errors.Is(err, OutcomeUnknown) != c.doubt {
					t.Errorf("in doubt should be %v: %v", c.doubt, err)
				}
			})
		})
	}
}

// A bid for which there is no token was not sent, so it is not in doubt.
func TestABidWithoutATokenIsNotInDoubt(t *testing.T) {
	hold := make(chan struct{})
	slow := roundTripper(func(*http.Request) (*http.Response, error) {
		<-hold
		return nil, io.ErrUnexpectedEOF
	})
	s := New("http://test", WithHTTPClient(&http.Client{Transport: slow}), WithAttempts(1)).Resume(Tokens{Refresh: "r"})
	left, leave := context.WithCancel(t.Context())
	leave()
	if err := bidOn(left, s); !errors.Is(err, context.Canceled) || errors.Is(err, OutcomeUnknown) {
		t.Error(err)
	}
	close(hold)
	if err := bidOn(t.Context(), s); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, OutcomeUnknown) {
		t.Error(err)
	}
}

// What fails in the same way each time is sent once, or not at all.
func TestWhatCannotPassIsFinal(t *testing.T) {
	key := func(k string) func(context.Context, *Session) error {
		return func(ctx context.Context, s *Session) error {
			_, _, err := s.PlaceBid(ctx, 1, NewBid{Key: k})
			return err
		}
	}
	long := reply{status: 200, body: `{"id":123456789}`}
	for name, c := range map[string]struct {
		base   string
		call   func(context.Context, *Session) error
		answer reply
		sent   int
		want   error
	}{
		"no scheme":         {"127.0.0.1:8080", bidOn, placedBid, 0, errUnsendable},
		"a name alone":      {"localhost:8080", bidOn, placedBid, 0, errUnsendable},
		"a host alone":      {"//localhost", bidOn, placedBid, 0, errUnsendable},
		"another scheme":    {"ftp://localhost", bidOn, placedBid, 0, errUnsendable},
		"a key of lines":    {"http://test", key("a\nb"), placedBid, 0, errUnsendable},
		"a long answer":     {"http://test", readOne, long, 1, errUnreadable},
		"a forged server":   {"https://test", bidOn, reply{err: &tls.CertificateVerificationError{Err: errForged}}, 1, errForged},
		"a redirect":        {"http://test", bidOn, moved, 1, Blank},
		"a redirected read": {"http://test", readOne, moved, 1, Blank},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{answers: []reply{c.answer}}
				api := New(c.base, WithHTTPClient(&http.Client{Transport: s}))
				api.core.answerSize = 10
				err := c.call(t.Context(), api.Resume(Tokens{Access: "a", Expires: time.Now().Add(time.Hour)}))
				if !errors.Is(err, c.want) || errors.Is(err, OutcomeUnknown) || len(s.got) != c.sent {
					t.Errorf("sent %d times, want %d: %v", len(s.got), c.sent, err)
				}
			})
		})
	}
}

var (
	errForged = errors.New("signed by an unknown authority")
	moved     = reply{status: http.StatusTemporaryRedirect, header: []string{"Location", "http://elsewhere/"}}
)
