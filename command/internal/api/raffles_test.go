package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
)

func (s *service) admin(path, body string) response {
	s.t.Helper()
	return s.do("POST", path, body, http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.token(fixture.Admin)}})
}

func (r response) raffle(t testing.TB, status int) (d raffleDocument) {
	t.Helper()
	if err := json.Unmarshal(r.body, &d); err != nil || r.StatusCode != status || r.Header.Get(commitLSN) == "" {
		t.Fatalf("no raffle: %d %s %v", r.StatusCode, r.body, err)
	}
	return d
}

func TestRegisterAndLogin(t *testing.T) {
	s := newService(t)
	h := func() http.Header { return http.Header{"Content-Type": {"application/json"}} }
	const mina = `{"login":"미나","password":"Fahrradkette"}`
	answer := s.do("POST", "/v1/users", mina, h())
	var u userDocument
	if err := json.Unmarshal(answer.body, &u); err != nil || answer.StatusCode != http.StatusCreated ||
		u != (userDocument{ID: u.ID, Login: "미나", Role: "bidder"}) || answer.Header.Get("Location") != fmt.Sprintf("/v1/users/%d", u.ID) {
		t.Fatalf("%d %s, %v", answer.StatusCode, answer.body, err)
	}
	if again := s.do("POST", "/v1/users", mina, h()); again.StatusCode != http.StatusConflict {
		t.Errorf("again: %d", again.StatusCode)
	}
	var token tokenDocument
	if err := json.Unmarshal(s.do("POST", "/v1/login", mina, h()).body, &token); err != nil {
		t.Fatal(err)
	}
	if b := s.post("1", token.AccessToken, "", goodBid).bid(t); b.UserID != u.ID {
		t.Errorf("the bid is user %d's, not %d's", b.UserID, u.ID)
	}
}

func TestOpenAndClose(t *testing.T) {
	s := newService(t)
	ends := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	opened := s.admin("/v1/raffles", fmt.Sprintf(`{"product_id":1,"ends_at":%q}`, ends.In(time.FixedZone("KST", 9*3600)).Format(time.RFC3339)))
	r := opened.raffle(t, http.StatusCreated)
	path := fmt.Sprintf("/v1/raffles/%d", r.ID)
	if r.SellerID != fixture.Admin || r.EndsAt != ends.Format(timeFormat) || r.ClosedAt != nil || opened.Header.Get("Location") != path {
		t.Errorf("%s %v", opened.body, opened.Header)
	}
	id := fmt.Sprint(r.ID)
	for _, price := range []int{2000, 5000, 1000} {
		s.post(id, s.token(1), "", fmt.Sprintf(`{"size":%d,"price":%d}`, 250+price/1000, price)).bid(t)
	}
	first := s.admin(path+"/close", "")
	closed := first.raffle(t, http.StatusOK)
	if closed.ClosingPrice == nil || *closed.ClosingPrice != 5000 || closed.ClosedAt == nil || *closed.ClosedAt >= closed.EndsAt {
		t.Errorf("closed: %s", first.body)
	}
	if late := s.post(id, s.token(1), "", goodBid); late.StatusCode != http.StatusConflict {
		t.Errorf("a bid after the close: %d", late.StatusCode)
	}
	if again := s.admin(path+"/close", ""); string(again.body) != string(first.body) || again.StatusCode != http.StatusOK {
		t.Errorf("again: %d %s, first %s", again.StatusCode, again.body, first.body)
	}
	past := s.admin("/v1/raffles", fmt.Sprintf(`{"product_id":1,"starts_at":"2020-01-01T00:00:00.1234567Z","ends_at":%q}`, ends.Format(time.RFC3339)))
	if r := past.raffle(t, http.StatusCreated); r.StartsAt != "2020-01-01T00:00:00.123456Z" {
		t.Errorf("%s", past.body)
	}
	if empty := s.admin(past.Header.Get("Location")+"/close", "").raffle(t, http.StatusOK); empty.ClosingPrice != nil {
		t.Errorf("no bids: %+v", empty)
	}
}

// W4: a client that sends too much is told when to come again, and other clients are served.
func TestRateLimits_W4(t *testing.T) {
	s := newLimitedService(t, limit.Rates{User: limit.Rate{PerSecond: 0.05, Burst: 3}, Address: limit.Rate{PerSecond: 0.02, Burst: 6}})
	send := func(user int64, address string) response {
		h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.token(user)}, "X-Forwarded-For": {"203.0.113.9, " + address}}
		return s.do("POST", "/v1/raffles/1/bids", goodBid, h)
	}
	for i, c := range []struct {
		user    int64
		address string
		status  int
		retry   string
	}{
		{1, "192.0.2.1", 201, ""}, {1, "192.0.2.1", 201, ""}, {1, "192.0.2.2", 201, ""},
		{1, "192.0.2.1", 429, "20"}, {1, "192.0.2.3", 429, "20"}, // the user
		{2, "192.0.2.1", 201, ""}, {2, "192.0.2.1", 201, ""}, {3, "192.0.2.1", 201, ""},
		{4, "192.0.2.1", 429, "50"}, // the address
		{4, "192.0.2.2", 201, ""},
	} {
		if got := send(c.user, c.address); got.StatusCode != c.status || got.Header.Get("Retry-After") != c.retry {
			t.Errorf("request %d of user %d from %s: %d %q, want %d %q", i, c.user, c.address, got.StatusCode, got.Header.Get("Retry-After"), c.status, c.retry)
		}
	}
}

// W7: a client that tries passwords is slowed down, by login and by address. Other clients can log in.
func TestLoginLimits_W7(t *testing.T) {
	s := newLimitedService(t, limit.Rates{Login: limit.Rate{PerSecond: 0.05, Burst: 2}, LoginAddress: limit.Rate{PerSecond: 0.02, Burst: 4}})
	for i, c := range []struct {
		path, login, address string
		status               int
		retry                bool
	}{
		{"/v1/login", "user1", "192.0.2.1", 401, false}, {"/v1/login", "USER1", "192.0.2.2", 401, false},
		{"/v1/login", "user1", "192.0.2.3", 429, true}, // the login, however it is written
		{"/v1/login", "user2", "192.0.2.1", 401, false}, {"/v1/login", "user3", "192.0.2.1", 401, false}, {"/v1/login", "user4", "192.0.2.1", 401, false},
		{"/v1/login", "user5", "192.0.2.1", 429, true}, {"/v1/users", "new", "192.0.2.1", 429, true}, // the address
		{"/v1/login", "user5", "192.0.2.4", 401, false},
	} {
		h := http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {c.address}}
		got := s.do("POST", c.path, fmt.Sprintf(`{"login":%q,"password":"wrong password"}`, c.login), h)
		if got.StatusCode != c.status || (got.Header.Get("Retry-After") != "") != c.retry {
			t.Errorf("request %d: %d %q, want %d %v", i, got.StatusCode, got.Header.Get("Retry-After"), c.status, c.retry)
		}
	}
}

// Bytes that are no UTF-8 are no password (RFC 8259, section 8.1).
func TestPasswordsAreText(t *testing.T) {
	s := newService(t)
	h := func() http.Header { return http.Header{"Content-Type": {"application/json"}} }
	for _, body := range []string{"{\"login\":\"latin\",\"password\":\"p\xe4ssw\xf6rd\"}", `{"login":"latin","password":"12345678\ud800"}`, "null", "1"} {
		if a := s.do("POST", "/v1/users", body, h()); a.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %d %s", body, a.StatusCode, a.body)
		}
	}
	const decomposed, composed = "{\"login\":\"Ju\u0308rgen\",\"password\":\"Schlu\u0308ssel\"}", `{"login":"jürgen","password":"Schlüssel"}`
	if a := s.do("POST", "/v1/users", decomposed, h()); a.StatusCode != http.StatusCreated {
		t.Errorf("register: %d %s", a.StatusCode, a.body)
	}
	if a := s.do("POST", "/v1/login", composed, h()); a.StatusCode != http.StatusOK {
		t.Errorf("log in: %d %s", a.StatusCode, a.body)
	}
}
