package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const liveFeed = "/v1/raffles/1/live"

// feedOf opens the feed of raffle 1 and returns its lines.
func (s *stack) feedOf(t *testing.T, headers ...string) *bufio.Scanner {
	t.Helper()
	return s.feedAt(t, liveFeed, headers...)
}

func (s *stack) feedAt(t *testing.T, path string, headers ...string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	})
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("status %d, Content-Type %q", response.StatusCode, got)
	}
	return bufio.NewScanner(response.Body)
}

// data returns the data of the next event, which it holds against the document.
func data(t *testing.T, lines *bufio.Scanner) string {
	t.Helper()
	event := map[string]string{}
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), ": ")
		event[name] = text
		if name == "data" {
			holdEvent(t, event)
			return text
		}
	}
	t.Fatalf("the feed ended (%v) before an event", lines.Err())
	return ""
}

func TestLiveFeed(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	t.Run("closed_raffles", s.testLiveOfClosedRaffles) // first, because the next one moves the checkpoint beyond the primary
	t.Run("bids_as_reads_show_them", s.testLiveBids)
	t.Run("wrong_requests", s.testLiveRequests)
}

// A bid in the feed is the bid of a read, to the byte; a close carries time and price.
func (s *stack) testLiveBids(t *testing.T) {
	var feed *bufio.Scanner
	var first string
	testenv.Eventually(t, patience, "the feed has a place to begin from", func() (ok bool) {
		feed = s.feedOf(t)
		for range 3 { // retry, event, id
			feed.Scan()
		}
		first, ok = strings.CutPrefix(feed.Text(), "id: ")
		return ok
	})
	if start := data(t, feed); start != fmt.Sprintf(`{"raffle_id":1,"min_lsn":"%s"}`, s.checkpoint.Position()) {
		t.Errorf("the feed begins with %s", start)
	}
	bid := s.bids(t, "id = 10001")[0]
	s.publish(t, readmodel.Event{Kind: readmodel.EventBid, Bid: bid},
		readmodel.Event{Kind: readmodel.EventClose, ClosedAt: 1_700_000_000_000_001, ClosingPrice: 70})
	resumed := s.feedOf(t, "Last-Event-ID", first)
	data(t, resumed) // start
	withParameter := s.feedAt(t, liveFeed+"?last_event_id="+first)
	data(t, withParameter)
	for _, lines := range []*bufio.Scanner{feed, resumed, withParameter} {
		text := data(t, lines)
		if page := s.get(t, "/v1/raffles/1/bids?size=260&limit=10").body; !strings.Contains(page, text) || !strings.Contains(text, `"id":10001,`) {
			t.Errorf("the feed has %s, reads have %s", text, page)
		}
		if got, want := data(t, lines), `{"raffle_id":1,"closed_at":"2023-11-14T22:13:20.000001Z","closing_price":70}`; got != want {
			t.Errorf("close is %s, want %s", got, want)
		}
	}
}

// The feed of a closed raffle tells of the close as a read does, and ends.
func (s *stack) testLiveOfClosedRaffles(t *testing.T) {
	for _, path := range []string{"/v1/raffles/3", "/v1/raffles/6"} {
		raffle := decode[struct {
			ClosedAt     string `json:"closed_at"`
			ClosingPrice *int64 `json:"closing_price"`
		}](t, s.get(t, path))
		price := "null"
		if raffle.ClosingPrice != nil {
			price = strconv.FormatInt(*raffle.ClosingPrice, 10)
		}
		want := fmt.Sprintf(`{"raffle_id":%s,"closed_at":"%s","closing_price":%s}`, strings.TrimPrefix(path, "/v1/raffles/"), raffle.ClosedAt, price)
		feed, id := s.feedAt(t, path+"/live"), ""
		for feed.Scan() && feed.Text() != "data: "+want {
			if at, is := strings.CutPrefix(feed.Text(), "id: "); is {
				id = at
			}
		}
		for _, lines := range []*bufio.Scanner{feed, s.feedAt(t, path+"/live", "Last-Event-ID", id)} {
			var last string
			for lines.Scan() {
				if text, is := strings.CutPrefix(lines.Text(), "data: "); is {
					last = text
				}
			}
			if lines.Err() != nil || last != "" && last != want || last == "" && lines != feed {
				t.Errorf("the feed of %s ends with %q, %v, want %s", path, last, lines.Err(), want)
			}
		}
	}
}

// publish commits one transaction of raffle 1 as the replicator does.
func (s *stack) publish(t *testing.T, events ...readmodel.Event) {
	t.Helper()
	var packed []byte
	for i := range events {
		packed = events[i].AppendEvent(packed)
	}
	id := readmodel.EventID{LSN: s.checkpoint.LSN, N: uint64(len(events))}
	pipe := s.rdb.TxPipeline()
	pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: s.checkpoint.Epoch.Live(1), ID: id.String(), Values: []any{readmodel.LiveField, packed}})
	s.checkpoint.LSN++
	s.commit(t, pipe)
}

func (s *stack) testLiveRequests(t *testing.T) {
	for path, want := range map[string]int{
		"/v1/raffles/999999/live": 404, "/v1/raffles/x/live": 404, liveFeed + "?size=0": 422, liveFeed + "?size=a": 400, liveFeed + "?limit=1": 400,
		liveFeed + "?last_event_id=1.2": 400,
	} {
		if a := s.get(t, path); a.status != want {
			t.Errorf("GET %s: %d %s, want %d", path, a.status, a.body, want)
		}
	}
	if a := s.get(t, liveFeed, "Last-Event-ID", "1.2"); a.status != http.StatusBadRequest || problemOf(t, a).Errors[0].Field != "Last-Event-ID" {
		t.Errorf("a wrong Last-Event-ID: %d %s", a.status, a.body)
	}
	if a := s.get(t, liveFeed+"?last_event_id=1.2", "Last-Event-ID", "1.3"); problemOf(t, a).Errors[0].Field != "Last-Event-ID" {
		t.Errorf("the header does not win: %s", a.body)
	}
	if a := request(t, http.MethodHead, s.url+liveFeed); a.status != http.StatusOK || a.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
	c := s.config()
	c.LiveMax = 1
	s.url = s.serve(t, c)
	testenv.Eventually(t, patience, "Redis may be believed", func() bool { return s.get(t, "/v1/raffles/1").path() == "redis" })
	s.feedOf(t)
	// An EventSource would never come back after a 503, so it gets an empty feed. A wrong request keeps its status.
	if a := s.get(t, liveFeed, "Accept", "text/event-stream"); a.status != http.StatusOK || a.header.Get("Content-Type") != "text/event-stream" ||
		!regexp.MustCompile(`^retry: [1-4][0-9]{3}\n\n$`).MatchString(a.body) {
		t.Errorf("an EventSource too many: %d %q", a.status, a.body)
	}
	if a := s.get(t, "/v1/raffles/999999/live", "Accept", "text/event-stream"); a.status != http.StatusNotFound {
		t.Errorf("an EventSource of no raffle: %d", a.status)
	}
	if a := s.get(t, liveFeed); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "5" {
		t.Errorf("one more than LIVE_MAX: %d, Retry-After %q", a.status, a.header.Get("Retry-After"))
	}
}
