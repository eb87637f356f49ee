package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// A bid that reached the server and whose answer was lost is sent again with its key, and is one bid.
func TestABidWhoseAnswerIsLostIsOneBid_W2(t *testing.T) {
	var mu sync.Mutex
	bids, sent := map[string]int64{}, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		key := r.Header.Get("Idempotency-Key")
		if bids[key] == 0 {
			bids[key] = int64(len(bids) + 1)
		}
		if sent++; sent <= 2 {
			panic(http.ErrAbortHandler) // closes the connection
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":%d}`, bids[key])
	}))
	defer server.Close()
	c := New(server.URL)
	defer c.Close()
	s := c.Resume(Tokens{Access: "a", Expires: time.Now().Add(time.Hour)})
	b, _, err := s.PlaceBid(t.Context(), 1, NewBid{Size: 270, Price: 1})
	mu.Lock()
	defer mu.Unlock()
	if err != nil || b.ID != 1 || len(bids) != 1 || sent != 3 {
		t.Errorf("%+v, %v, %d bids of %d requests", b, err, len(bids), sent)
	}
}

// The services have exactly these types.
func TestProblemTypesAreThoseOfTheServices(t *testing.T) {
	have := []ProblemType{BadBody, BadRequest, NoToken, BadToken, WrongCredentials, BadRefreshToken, RefreshTokenReused, AdminsOnly, ForeignOrigin,
		NotYours, WrongPassword, NoPath, UnknownRaffle, UnknownProduct, UnknownBid, MethodNotAllowed, LoginTaken, RaffleNotOpen, RaffleStarted,
		PositionLost, BodyTooLarge, NotJSON, BadValue, TooManySizes, KeyReused, TooManyRequests, Internal, Busy, RaffleLocked, Unavailable, OutcomeUnknown}
	var want []ProblemType
	for _, k := range web.Kinds {
		want = append(want, ProblemType(k.URI))
	}
	if !slices.Equal(have, want) {
		t.Errorf("%q, want %q", have, want)
	}
}

func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		a      reply
		want   ProblemType
		shown  string
		retry  time.Duration
		fields int
	}{
		"a problem":        {reply{status: 422, body: `{"type":"/problems/bad-value","detail":"no","errors":[{"field":"size","detail":"is odd"}]}`}, BadValue, "422 /problems/bad-value: no; size is odd", 0, 1},
		"with a pause":     {refusal(429, TooManyRequests, "7"), TooManyRequests, "429 /problems/too-many-requests: ", 7 * time.Second, 0},
		"a page of HTML":   {reply{status: 502, body: "<html>" + strings.Repeat("a", 300)}, Blank, "502 about:blank: <html>" + strings.Repeat("a", 194), 0, 0},
		"JSON of another":  {reply{status: 400, body: `{"error":"x"}`}, Blank, `400 about:blank: {"error":"x"}`, 0, 0},
		"nothing":          {reply{status: 500}, Blank, "500 about:blank: ", 0, 0},
		"a pause in words": {refusal(503, Busy, "soon"), Busy, "503 /problems/busy: ", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: []reply{c.a}}
			err := readOne(t.Context(), s.session(WithAttempts(1)))
			p, is := errors.AsType[*Problem](err)
			if !is || !errors.Is(err, c.want) || errors.Is(err, PositionLost) || p.Error() != c.shown || p.RetryAfter != c.retry || len(p.Errors) != c.fields {
				t.Errorf("%+v: %v", p, err)
			}
		})
	}
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	if got := retryAfter("Sat, 28 Nov 2026 00:00:09 GMT", now); got != 9*time.Second {
		t.Error(got)
	}
}

// A list is read page by page, each page with the filter of the first.
func TestEachFollowsThePages_R4(t *testing.T) {
	s := &script{answers: []reply{{status: 200, body: `{"bids":[{"id":3},{"id":2}],"next_cursor":"n"}`}, {status: 200, body: `{"bids":[{"id":1}],"next_cursor":null}`}}}
	filter := BidFilter{Size: 270, Order: Highest, MinPrice: 5, Limit: 2}
	ids := func() (list []int64) {
		for b, err := range s.client().EachBid(t.Context(), 9, filter) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, b.ID)
		}
		return list
	}
	if got := ids(); !slices.Equal(got, []int64{3, 2, 1}) {
		t.Error(got)
	}
	const path = "/v1/raffles/9/bids?"
	for i, want := range []string{path + "limit=2&min_price=5&order=highest&size=270", path + "cursor=n&limit=2&min_price=5&order=highest&size=270"} {
		if got := s.got[i].URL.RequestURI(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	s.answers, s.got = []reply{s.answers[0], refusal(400, BadRequest, "")}, nil
	n := 0
	for _, err := range s.client().EachBid(t.Context(), 9, filter) {
		if n++; n < 3 && err != nil || n == 3 && !errors.Is(err, BadRequest) || n > 3 {
			t.Errorf("item %d: %v", n, err)
		}
	}
}

// What is asked for and what is sent.
func TestRequests(t *testing.T) {
	at := time.Date(2026, 11, 28, 1, 2, 3, 0, time.UTC)
	for want, send := range map[string]func(*Session) error{
		`GET /v1/raffles `: func(s *Session) error { _, err := s.Raffles(t.Context(), RaffleFilter{}); return err },
		`GET /v1/raffles?category=a&cursor=c&ends_before=2026-11-28T01%3A02%3A03Z&expand=product%2Chighest&limit=3&q=b&status=all `: func(s *Session) error {
			_, err := s.Raffles(t.Context(), RaffleFilter{Status: All, Text: "b", Category: "a", EndsBefore: at, Product: true, Highest: true, Limit: 3, Cursor: "c"})
			return err
		},
		`GET /v1/raffles/1/best `:           func(s *Session) error { _, _, err := s.Best(t.Context(), 1); return err },
		`GET /v1/raffles/1/bids/2 `:         func(s *Session) error { _, _, err := s.Bid(t.Context(), 1, 2); return err },
		`GET /v1/bids?size=270 `:            func(s *Session) error { _, err := s.SizeBids(t.Context(), SizeFilter{Size: 270}); return err },
		`GET /v1/products?q=a `:             func(s *Session) error { _, err := s.Products(t.Context(), ProductFilter{Text: "a"}); return err },
		`GET /v1/products/1 `:               func(s *Session) error { _, _, err := s.Product(t.Context(), 1); return err },
		`GET /v1/me/bids?raffle=1 Bearer a`: func(s *Session) error { _, err := s.MyBids(t.Context(), MyBidFilter{Raffle: 1}); return err },
		`POST /v1/raffles/1/bids Bearer a {"size":270,"price":5}`: func(s *Session) error {
			_, _, err := s.PlaceBid(t.Context(), 1, NewBid{Size: 270, Price: 5, Key: "k"})
			return err
		},
		`POST /v1/raffles Bearer a {"product_id":1,"ends_at":"2026-11-28T01:02:03Z"}`: func(s *Session) error {
			_, _, err := s.OpenRaffle(t.Context(), NewRaffle{ProductID: 1, EndsAt: at})
			return err
		},
		`PATCH /v1/raffles/1 Bearer a {"starts_at":"2026-11-28T01:02:03Z"}`: func(s *Session) error {
			_, _, err := s.ChangeRaffle(t.Context(), 1, RaffleChange{StartsAt: at})
			return err
		},
		`POST /v1/raffles/1/close Bearer a`: func(s *Session) error { _, _, err := s.CloseRaffle(t.Context(), 1); return err },
		`PATCH /v1/products/1 Bearer a {"name":"n"}`: func(s *Session) error {
			_, _, err := s.ChangeProduct(t.Context(), 1, ProductChange{Name: "n"})
			return err
		},
		`POST /v1/users  {"login":"a","password":"b"}`: func(s *Session) error { _, err := s.Register(t.Context(), "a", "b"); return err },
	} {
		s := &script{answers: []reply{{status: 200, body: "{}"}}}
		if err := send(s.session()); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		r := s.got[0]
		got := fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"))
		if r.Body != nil {
			var body json.RawMessage
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			got += " " + string(body)
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Send neither retries nor adds anything but a session's token, and returns any status.
func TestSend(t *testing.T) {
	s := &script{answers: []reply{{status: 503, body: "no", header: []string{"A", "b"}}}}
	a, err := s.client().Send(t.Context(), http.MethodPost, "/x", []byte("{}"), "C", "d")
	if err != nil || a.Status != 503 || string(a.Body) != "no" || a.Header.Get("A") != "b" || len(s.got) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	h := s.got[0].Header
	if h.Get("C") != "d" || h.Get("Content-Type") != "application/json" || h.Get("Authorization") != "" {
		t.Errorf("%v", h)
	}
	if _, err := s.session().Send(t.Context(), http.MethodGet, "/x", nil, "C", "d"); err != nil {
		t.Error(err)
	}
	if h := s.got[1].Header; h.Get("C") != "d" || h.Get("Authorization") != "Bearer a" {
		t.Errorf("%v", h)
	}
}
