package main

import (
	"net/http"
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
		if p := problemOf(t, a); p.Type != "/problems/too-many-requests" || a.header.Get("Retry-After") == "" {
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
	passes("192.0.2.1", large) // 40
	passes("192.0.2.1", large)
	refused("192.0.2.1", large) // costs the route's weight, 1
	for range 9 {
		passes("192.0.2.1", page)
	}
	for _, path := range []string{page, "/v1/raffles", "/v1/raffles/1", "/v1/raffles/1/bids/1", "/v1/bids?size=270", "/v1/me/bids", "/v1/raffles/1/live",
		"/v1/raffles/1/bids", "/v1/raffles/1/best", "/v1/raffles?q=m", "/v1/products", "/v1/products/1"} {
		refused("192.0.2.1", path)
	}
	if a := from("192.0.2.1", "/v1/raffles/1/live", "Accept", "text/event-stream"); a.status != http.StatusOK || !strings.HasPrefix(a.body, "retry:") {
		t.Errorf("W7: an EventSource: %d %s", a.status, a.body)
	}
	passes("192.0.2.1", "/hello")
	passes("192.0.2.2", large)
	for range 9 { // 11 each
		if a := from("192.0.2.3", page, "Min-LSN", "FFFFFF/0"); a.status != http.StatusUnprocessableEntity {
			t.Errorf("R8: %d %s", a.status, a.body)
		}
	}
	passes("192.0.2.3", page)
	refused("192.0.2.3", page)
}
