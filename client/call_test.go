package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script answers one request after another, and keeps them. Its last answer is used for all further requests.
type script struct {
	mu      sync.Mutex
	answers []reply
	got     []*http.Request
}

// reply is an answer, or the error instead of one.
type reply struct {
	status int
	body   string
	header []string // names and values
	err    error
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.answers[min(len(s.got), len(s.answers)-1)]
	s.got = append(s.got, r)
	if a.err != nil {
		return nil, a.err
	}
	w := &http.Response{StatusCode: a.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}
	for i := 0; i < len(a.header); i += 2 {
		w.Header.Set(a.header[i], a.header[i+1])
	}
	return w, nil
}

// client sends to the script.
func (s *script) client(options ...Option) *Client {
	return New("http://test", append(options, WithHTTPClient(&http.Client{Transport: s}))...)
}

// session has a token for an hour.
func (s *script) session(options ...Option) *Session {
	return s.client(options...).Resume(Tokens{Access: "a", Refresh: "r", Expires: time.Now().Add(time.Hour)})
}

func refusal(status int, kind ProblemType, retry string) reply {
	return reply{status: status, body: `{"type":"` + string(kind) + `"}`, header: []string{"Retry-After", retry}}
}

var (
	placedBid = reply{status: 201, body: `{"id":1}`}
	lost      = reply{err: io.ErrUnexpectedEOF}
	refused   = reply{err: &net.OpError{Op: "dial", Err: errDown}}

	errDown = errors.New("connection refused")
)

func bidOn(ctx context.Context, s *Session) error {
	_, _, err := s.PlaceBid(ctx, 1, NewBid{Size: 270, Price: 1})
	return err
}

func readOne(ctx context.Context, s *Session) error {
	_, _, err := s.Raffle(ctx, 1)
	return err
}

func logIn(ctx context.Context, s *Session) error {
	_, err := s.Login(ctx, "a", "b")
	return err
}

func newPassword(ctx context.Context, s *Session) error { return s.ChangePassword(ctx, "a", "b") }

func cancelIt(ctx context.Context, s *Session) error {
	_, err := s.CancelBid(ctx, 1, 2)
	return err
}

// A request is sent again only if it was not done, or if two have the effect of one; with the same key, and not before
// Retry-After.
func TestWhatIsSentAgain(t *testing.T) {
	good := reply{status: 200, body: "{}"}
	unknown, busy := refusal(503, OutcomeUnknown, "1"), refusal(503, Busy, "1")
	for name, c := range map[string]struct {
		call    func(context.Context, *Session) error
		answers []reply
		sent    int
		least   time.Duration
		want    error
	}{
		"a read, busy":                    {readOne, []reply{busy, refusal(503, Unavailable, "2"), good}, 3, 3 * time.Second, nil},
		"a read without an answer":        {readOne, []reply{lost, refused, good}, 3, 0, nil},
		"a read that took too long":       {readOne, []reply{refusal(504, Blank, ""), refusal(502, Blank, ""), good}, 3, 0, nil},
		"a read, a fault":                 {readOne, []reply{refusal(500, Internal, ""), good}, 1, 0, Internal},
		"a read of nothing":               {readOne, []reply{refusal(404, UnknownRaffle, ""), good}, 1, 0, UnknownRaffle},
		"a bid, perhaps done":             {bidOn, []reply{unknown, refusal(504, OutcomeUnknown, ""), placedBid}, 3, time.Second, nil},
		"a bid without an answer":         {bidOn, []reply{lost, placedBid}, 2, 0, nil},
		"a bid, too many":                 {bidOn, []reply{refusal(429, TooManyRequests, "7"), placedBid}, 2, 7 * time.Second, nil},
		"a bid, locked":                   {bidOn, []reply{refusal(503, RaffleLocked, "1"), placedBid}, 2, time.Second, nil},
		"a bid, closed":                   {bidOn, []reply{refusal(409, RaffleNotOpen, ""), placedBid}, 1, 0, RaffleNotOpen},
		"a bid, never":                    {bidOn, []reply{busy}, DefaultAttempts, 11 * time.Second, Busy},
		"a bid, never a connection":       {bidOn, []reply{refused}, DefaultAttempts, 6 * time.Second, errDown},
		"a cancellation, perhaps done":    {cancelIt, []reply{unknown, lost, {status: 204}}, 3, time.Second, nil},
		"a login, too many":               {logIn, []reply{refusal(429, TooManyRequests, "3"), good}, 2, 3 * time.Second, nil},
		"a login without an answer":       {logIn, []reply{lost, good}, 2, 0, nil},
		"a login without a connection":    {logIn, []reply{refused, good}, 2, 0, nil},
		"a password, not changed":         {newPassword, []reply{busy, {status: 204}}, 2, time.Second, nil},
		"a password, perhaps changed":     {newPassword, []reply{unknown, good}, 1, 0, OutcomeUnknown},
		"a password, not got whole":       {newPassword, []reply{refusal(408, Blank, ""), good}, 2, 0, nil},
		"a password, 503 of another":      {newPassword, []reply{refusal(503, Blank, "1"), good}, 1, 0, Blank},
		"a password, broken off":          {newPassword, []reply{refusal(502, OutcomeUnknown, ""), good}, 1, 0, OutcomeUnknown},
		"a password without an answer":    {newPassword, []reply{lost, good}, 1, 0, io.ErrUnexpectedEOF},
		"a pause longer than the context": {readOne, []reply{refusal(503, Busy, "100"), good}, 1, 0, Busy},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				s, begun := &script{answers: c.answers}, time.Now()
				if err := c.call(ctx, s.session()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("%v, want %v", err, c.want)
				}
				if took := time.Since(begun); len(s.got) != c.sent || took < c.least || took > c.least+10*time.Second {
					t.Errorf("sent %d times in %v, want %d in %v", len(s.got), took, c.sent, c.least)
				}
				for _, r := range s.got {
					if first := s.got[0].Header.Get("Idempotency-Key"); r.Header.Get("Idempotency-Key") != first {
						t.Error("the key has changed")
					}
				}
			})
		})
	}
}

// An attempt that is not answered in time counts as lost. The error does not say that the caller's context has ended.
func TestAnAttemptHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c, begun := New("http://test", WithHTTPClient(&http.Client{Transport: slow}), WithAttempts(2), WithAttemptTime(time.Second)), time.Now()
		_, _, err := c.Raffle(t.Context(), 1)
		if took := time.Since(begun); err == nil || errors.Is(err, context.DeadlineExceeded) || took < 2*time.Second || took > 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, _, err := c.Raffle(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the context's end: %v", err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A caller's key is sent, and a key that the call has made is in the receipt even if it fails.
func TestKeys_W2(t *testing.T) {
	s := &script{answers: []reply{{status: 201, body: "{}", header: []string{"Idempotency-Replayed", "true", "Commit-LSN", "1-0/1"}}, lost}}
	session := s.session(WithAttempts(1))
	_, r, err := session.PlaceBid(t.Context(), 1, NewBid{Key: "mine"})
	if err != nil || r.Key != "mine" || !r.Replayed || r.Position != "1-0/1" || s.got[0].Header.Get("Idempotency-Key") != "mine" {
		t.Errorf("%+v, %v", r, err)
	}
	_, r, err = session.PlaceBid(t.Context(), 1, NewBid{})
	if err == nil || len(r.Key) < 20 || s.got[1].Header.Get("Idempotency-Key") != r.Key {
		t.Errorf("%+v, %v", r, err)
	}
}
