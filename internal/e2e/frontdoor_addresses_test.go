package e2e

import (
	"strings"
	"testing"
	"time"
)

// One address has its share of connections, feeds and requests, and no more.
func TestOneAddressHasItsShare(t *testing.T) {
	d := openDoor(t, "ADDRESS_CONNS=20", "ADDRESS_FEEDS=3", "ADDRESS_RATE=50")
	const hello, feed = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1/raffles/7/live HTTP/1.1\r\nHost: x\r\nDo: feed\r\nAccept: text/event-stream\r\n\r\n"
	for i := range 40 {
		c, err := d.dial(t, "127.0.0.7")
		if err != nil && i >= 20 {
			continue // reset at once
		} else if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got := raw(t, c, hello)
		if open := strings.HasPrefix(got, "HTTP/1.1 200 "); open != (i < 20) {
			t.Errorf("connection %d: %q", i, got)
		}
	}
	for i := range 6 {
		if got := raw(t, d.connection(t, "127.0.0.6"), feed); comesBack(got) != (i >= 3) {
			t.Errorf("feed %d of an address: %q", i, got)
		}
	}
	c, limited, start := d.connection(t, "127.0.0.5"), 0, time.Now()
	for range 120 {
		got := raw(t, c, hello)
		if strings.HasPrefix(got, "HTTP/1.1 429 ") && strings.Contains(got, "retry-after: 1") && strings.Contains(got, `"instance":"/hello#`) {
			limited++
		}
	}
	if limited == 0 {
		t.Error("120 requests at once are not too many")
	}
	if took := time.Since(start); took < time.Second {
		t.Errorf("120 requests took %v: nobody who goes on far beyond the rate has to wait", took)
	}
	if got := raw(t, d.connection(t, "127.0.0.4"), hello); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("another address: %q", got)
	}
}

// Refusals cost as well. An address whose requests are refused again and again is slowed down, however few requests
// it sends.
func TestOneAddressIsNotRefusedInHaste(t *testing.T) {
	d := openDoor(t, "ADDRESS_RATE=100")
	const refused, hello = "GET /v1/raffles/7 HTTP/1.1\r\nHost: x\r\nDo: refuse\r\n\r\n", "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
	c, answers := d.connection(t, "127.0.0.8"), map[string]int{}
	for range 30 {
		answer, _, _ := strings.Cut(raw(t, c, refused), "\r\n")
		answers[answer]++
	}
	if answers["HTTP/1.1 404 Not Found"] < 20 || answers["HTTP/1.1 429 Too Many Requests"] == 0 || len(answers) != 2 {
		t.Errorf("30 requests that are refused: %v", answers)
	}
	for range 60 {
		if got := raw(t, d.connection(t, "127.0.0.9"), hello); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
			t.Fatalf("an address that is never refused: %q", got)
		}
	}
}
