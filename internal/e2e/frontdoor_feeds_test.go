package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Feeds have a bound that leaves connections for bids. An EventSource that finds no room is told to come back
// and gets no error.
func TestFeedsLeaveRoomForBids(t *testing.T) {
	const room = 8
	d := openDoor(t, fmt.Sprintf("FEED_CONNS=%d", room))
	feed := "GET /v1/raffles/7/live HTTP/1.1\r\nHost: x\r\nDo: feed\r\nAccept: %s\r\n\r\n"
	for i := range room {
		if got := raw(t, d.connection(t, "127.0.0.8"), fmt.Sprintf(feed, "text/event-stream")); !strings.Contains(got, "\r\n:\n\n") {
			t.Fatalf("feed %d: %q", i, got)
		}
	}
	if got := raw(t, d.connection(t, "127.0.0.8"), fmt.Sprintf(feed, "text/event-stream")); !comesBack(got) {
		t.Errorf("an EventSource too many gets %q", got)
	}
	if got := raw(t, d.connection(t, "127.0.0.8"), fmt.Sprintf(feed, "*/*")); !strings.HasPrefix(got, "HTTP/1.1 503 ") {
		t.Errorf("a feed too many gets %q", got)
	}
	if w, _ := d.ask(t, "GET", "/socket.io/?EIO=4&transport=polling", nil); w.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a session too many: %d", w.StatusCode)
	}
	if w, _ := d.ask(t, "POST", "/v1/raffles/7/bids", nil); w.StatusCode != http.StatusOK {
		t.Errorf("a bid: %d", w.StatusCode)
	}
}

func comesBack(answer string) bool {
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	var ms int
	n, err := fmt.Sscanf(body, "retry: %d\n\n", &ms)
	return strings.HasPrefix(head, "HTTP/1.1 200 ") && strings.Contains(head, "content-type: text/event-stream") && n == 1 && err == nil &&
		ms >= 1000 && ms < 5000 && body == fmt.Sprintf("retry: %d\n\n", ms)
}

// A feed of an instance that hangs is cut off once the instance is found down. EventSources are then told to come
// back, at different times.
func TestAFeedOfAHungInstanceEnds(t *testing.T) {
	d := openDoor(t)
	const request = "GET /v1/raffles/7/live HTTP/1.1\r\nHost: x\r\nDo: feed\r\nAccept: text/event-stream\r\n\r\n"
	c := d.connection(t, "127.0.0.1")
	if got := raw(t, c, request); !strings.Contains(got, "\r\n:\n\n") {
		t.Fatalf("%q", got)
	}
	d.query.ready.Store(false)
	start := time.Now()
	if got := readSome(c); got != "" || time.Since(start) > 8*time.Second {
		t.Errorf("after %v: %q", time.Since(start), got)
	}
	answers := map[string]bool{}
	for range 10 {
		got := raw(t, d.connection(t, "127.0.0.1"), request)
		if !comesBack(got) {
			t.Errorf("without a server: %q", got)
		}
		_, body, _ := strings.Cut(got, "\r\n\r\n")
		answers[body] = true
	}
	if len(answers) < 2 {
		t.Error("all are told to come back at the same time")
	}
}

// A feed without a byte for that long is cut off, although the instance passes its health check.
func TestASilentFeedEnds(t *testing.T) {
	d := openDoor(t, "FEED_SILENCE=1s")
	c := d.connection(t, "127.0.0.1")
	if got := raw(t, c, "GET /v1/raffles/7/live HTTP/1.1\r\nHost: x\r\nDo: feed\r\n\r\n"); !strings.Contains(got, "\r\n:\n\n") {
		t.Fatalf("%q", got)
	}
	if got := readSome(c); strings.Contains(got, "event") {
		t.Errorf("%q", got)
	}
	if got := raw(t, d.connection(t, "127.0.0.1"), "GET /v1/raffles/7/live HTTP/1.1\r\nHost: x\r\nDo: hang\r\nAccept: text/event-stream\r\n\r\n"); !comesBack(got) {
		t.Errorf("no answer to an EventSource: %q", got)
	}
}
