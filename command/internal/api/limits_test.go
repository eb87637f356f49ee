package api

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/limit"
)

// W4: answers name the limit that refuses first, and then the limits of which less than half is left.
func TestAnswersNameTheirLimits_W4(t *testing.T) {
	s := newLimitedService(t, limit.Rates{User: limit.Rate{PerSecond: 0.001, Burst: 4}, Address: limit.Rate{PerSecond: 0.0005, Burst: 10}})
	const user, address = `"user";q=4;w=4000`, `"address";q=10;w=20000`
	for i, c := range []struct {
		user         int64
		body         string
		status       int
		left, policy string
	}{
		{1, goodBid, 201, "", ""},
		{1, goodBid, 201, "", ""}, // half of the user's
		{1, goodBid, 201, `"user";r=1`, user},
		{1, `{"size":270}`, 422, `"user";r=0`, user},
		{1, goodBid, 429, `"user";r=0`, user}, // half of the address's
		{2, goodBid, 201, `"address";r=4`, address},
		{1, goodBid, 429, `"user";r=0, "address";r=3`, user + ", " + address},
		{2, goodBid, 201, `"address";r=2`, address},
		{2, goodBid, 201, `"address";r=1, "user";r=1`, address + ", " + user},
		{1, goodBid, 429, `"user";r=0, "address";r=0`, user + ", " + address}, // the address would refuse it next
		{3, goodBid, 429, `"address";r=0`, address},
	} {
		h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.token(c.user)}}
		got := s.do("POST", "/v1/raffles/1/bids", c.body, h)
		if left := leftOf(t, got); got.StatusCode != c.status || left != c.left || got.Header.Get("RateLimit-Policy") != c.policy {
			t.Errorf("request %d: %d %v", i, got.StatusCode, got.Header)
		}
	}
}

// W7: logins name the limits of their address and of the login.
func TestLoginsNameTheirLimits_W7(t *testing.T) {
	s := newLimitedService(t, limit.Rates{Login: limit.Rate{PerSecond: 0.001, Burst: 1}, LoginAddress: limit.Rate{PerSecond: 0.0005, Burst: 3}})
	for i, c := range []struct {
		path, login, left string
		status            int
	}{
		{"/v1/login", "user1", `"login";r=0`, 401},
		{"/v1/login", "user1", `"login";r=0, "login-address";r=1`, 429},
		{"/v1/login", "user2", `"login-address";r=0, "login";r=0`, 401},
		{"/v1/login", "user3", `"login-address";r=0`, 429},
		{"/v1/users", "user3", `"login-address";r=0`, 429},
	} {
		h := http.Header{"Content-Type": {"application/json"}}
		got := s.do("POST", c.path, fmt.Sprintf(`{"login":%q,"password":"wrong password"}`, c.login), h)
		if left := leftOf(t, got); got.StatusCode != c.status || left != c.left {
			t.Errorf("request %d: %d %v", i, got.StatusCode, got.Header)
		}
	}
}

var untilMore = regexp.MustCompile(`(;r=[0-9]+);t=([0-9]+)`)

// leftOf is RateLimit without its times. A refused request has to wait for each limit that has nothing left.
func leftOf(t *testing.T, a response) string {
	t.Helper()
	text, longest := a.Header.Get("RateLimit"), 0
	for _, m := range untilMore.FindAllStringSubmatch(text, -1) {
		seconds, err := strconv.Atoi(m[2])
		if err != nil || seconds < 900 || seconds > 2000 { // a token comes back in 1000 or 2000 s
			t.Errorf("%s: %v", text, err)
		}
		if m[1] == ";r=0" {
			longest = max(longest, seconds)
		}
	}
	if retry := a.Header.Get("Retry-After"); a.StatusCode == http.StatusTooManyRequests && retry != strconv.Itoa(longest) {
		t.Errorf("Retry-After %q, RateLimit %s", retry, text)
	}
	return untilMore.ReplaceAllString(text, "$1")
}
