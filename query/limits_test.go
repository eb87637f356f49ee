package main

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// W7: the reads of an address are limited by weight. Other addresses are not affected.
func TestReadsOfAnAddressAreLimited_W7(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	c := s.config()
	c.RateLimit = limit.Rates{Read: limit.Rate{PerSecond: 0.001, Burst: 100}}
	s.url = s.serve(t, c)
	testenv.Eventually(t, patience, "Redis answers", func() bool {
		return s.get(t, "/v1/raffles/1/bids?size=270&limit=5", "X-Forwarded-For", "192.0.2.99").path() == "redis"
	})
	from := func(address, path string, headers ...string) answer {
		t.Helper()
		return s.get(t, path, append(headers, "X-Forwarded-For", address)...)
	}
	const page, large = "/v1/raffles/1/bids?size=270&limit=50", "/v1/raffles/1/bids?size=270&limit=2000"
	refused := func(address, path string, headers ...string) {
		t.Helper()
		a := from(address, path, headers...)
		checkProblem(t, path, a, http.StatusTooManyRequests, "")
		left, until := readLimit(t, a)
		if p := problemOf(t, a); p.Type != "/problems/too-many-requests" || left < 0 || a.header.Get("Retry-After") != until {
			t.Errorf("W7: %+v %v", p, a.header)
		}
	}
	passes := func(address, path string, headers ...string) {
		t.Helper()
		if a := from(address, path, headers...); a.status != http.StatusOK && a.status != http.StatusNotModified {
			t.Errorf("W7: %s: %d %s", path, a.status, a.body)
		}
	}
	for range 10 {
		passes("192.0.2.1", page)
	}
	says := func(want int, a answer) {
		t.Helper()
		if left, _ := readLimit(t, a); left != want {
			t.Errorf("%d %v, want %d left", a.status, a.header, want)
		}
	}
	says(-1, from("192.0.2.1", large)) // 40, and half is left
	says(10, from("192.0.2.1", large))
	refused("192.0.2.1", large) // costs the route's weight, 1
	for range 9 {
		passes("192.0.2.1", page)
	}
	for _, path := range []string{page, "/v1/raffles", "/v1/raffles/1", "/v1/raffles/1/bids/1", "/v1/bids?size=270", "/v1/me/bids", "/v1/raffles/1/live",
		"/v1/raffles/1/bids", "/v1/raffles/1/best", "/v1/raffles?q=m", "/v1/products", "/v1/products/1"} {
		refused("192.0.2.1", path)
	}
	says(0, from("192.0.2.1", "/v1/raffles/1/live", "Accept", "text/event-stream"))
	if a := from("192.0.2.1", "/v1/raffles/1/live", "Accept", "text/event-stream"); a.status != http.StatusOK || !strings.HasPrefix(a.body, "retry:") {
		t.Errorf("W7: an EventSource: %d %s", a.status, a.body)
	}
	passes("192.0.2.1", "/hello")
	passes("192.0.2.2", large)
	for i := range 9 { // 11 each
		a := from("192.0.2.3", page, "Min-LSN", "FFFFFF/0")
		if a.status != http.StatusUnprocessableEntity {
			t.Errorf("R8: %d %s", a.status, a.body)
		}
		if left := 100 - 11*(i+1); left < 50 {
			says(left, a)
		}
	}
	passes("192.0.2.3", page)
	refused("192.0.2.3", page)
}

var ofReads = regexp.MustCompile(`^"read";r=([0-9]+);t=([1-9][0-9]*)$`)

// readLimit is what an answer says is left of its address's limit, -1 if it says nothing.
func readLimit(t *testing.T, a answer) (left int, until string) {
	t.Helper()
	now, policy := a.header.Get("RateLimit"), a.header.Get("RateLimit-Policy")
	if now == "" && policy == "" {
		return -1, ""
	}
	m := ofReads.FindStringSubmatch(now)
	if m == nil || policy != `"read";q=100;w=100000` {
		t.Fatalf("RateLimit %s, RateLimit-Policy %s", now, policy)
	}
	left, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return left, m[2]
}
