package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// streams serves the live feed: the next stream for each request. A stream ends with its text.
type streams struct {
	texts []string

	mu    sync.Mutex
	last  []string // the Last-Event-ID of each request
	query string
}

func (s *streams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.query = append(s.last, r.Header.Get("Last-Event-ID")), r.URL.RawQuery
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, s.texts[len(s.last)-1])
}

// asked are the ids behind which the feed was opened.
func (s *streams) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.last)
}

func (s *streams) start(t *testing.T, options ...Option) *Client {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c := New(server.URL, options...)
	t.Cleanup(c.Close)
	return c
}

// A feed that is cut off or refused goes on behind its last event, and ends with the close.
func TestAFeedGoesOnUntilTheClose(t *testing.T) {
	s := &streams{texts: []string{
		"retry: 1\nevent: start\nid: 1.0-0\ndata: {\"min_lsn\":\"1-0/1\"}\n\nevent: bid\nid: 1.1-1\ndata: {\"id\":7,\"size\":270}\n\nevent: bid\nid: 1.2-1\ndata: {\"id\":",
		"retry: 1\n\n",
		"retry: 1\nevent: start\nid: 1.1-1\ndata: {\"min_lsn\":\"1-0/2\"}\n\nevent: news\nid: 1.2-2\ndata: x\n\n:\nid: 1.3-0\n\n",
		"event: reset\nid: 1.4-0\ndata: {\"min_lsn\":\"2-0/3\"}\n\nevent: cancel\nid: 1.5-0\ndata: {\"id\":7}\n\n" +
			"event: close\nid: 1.6-0\ndata: {\"closed_at\":\"2026-11-28T00:00:00.000000Z\",\"closing_price\":5}\n\nretry: 86400000\n\n",
	}}
	cuts := 0
	var got []string
	for e, err := range s.start(t).Follow(t.Context(), 9, FeedOptions{Size: 270, Cut: func(error) { cuts++ }}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.Kind, " ", e.ID, " ", e.Bid.ID, " ", e.MinLSN))
		if e.Kind == EventClose && (*e.ClosingPrice != 5 || e.ClosedAt.Year() != 2026) {
			t.Errorf("%+v", e)
		}
	}
	want := []string{"start 1.0-0 0 1-0/1", "bid 1.1-1 7 ", "start 1.1-1 0 1-0/2", "reset 1.4-0 0 2-0/3", "cancel 1.5-0 7 ", "close 1.6-0 0 "}
	if !slices.Equal(got, want) || cuts != 3 {
		t.Errorf("%q after %d cuts", got, cuts)
	}
	s.mu.Lock()
	if s.query != "size=270" {
		t.Error(s.query)
	}
	s.mu.Unlock()
	if last := []string{"", "1.1-1", "1.1-1", "1.3-0"}; !slices.Equal(s.asked(), last) {
		t.Errorf("continued behind %q, want %q", s.asked(), last)
	}
}

// A caller that wants no more gets no more, and may go on later.
func TestAFeedEndsWithItsCaller(t *testing.T) {
	s := &streams{texts: []string{"event: bid\nid: 2\ndata: {}\n\nevent: bid\nid: 3\ndata: {}\n\n"}}
	for e, err := range s.start(t).Follow(t.Context(), 9, FeedOptions{After: "1"}) {
		if err != nil || e.ID != "2" {
			t.Errorf("%+v, %v", e, err)
		}
		break
	}
	if last := s.asked(); !slices.Equal(last, []string{"1"}) {
		t.Errorf("%q", last)
	}
}

// A feed ends with an error if it is refused for good or too often, or with its context.
func TestAFeedThatCannotGoOn(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx     context.Context
		answers []reply
		sent    int
		want    error
	}{
		"of nothing":        {t.Context(), []reply{refusal(404, UnknownRaffle, "")}, 1, UnknownRaffle},
		"refused too often": {t.Context(), []reply{{status: 200, body: "retry: 1\n\n"}}, 3, io.ErrUnexpectedEOF},
		"down too long":     {t.Context(), []reply{{status: 200, body: "retry: 1\n\n"}, refusal(503, Busy, "")}, 3, Busy},
		"no event":          {t.Context(), []reply{{status: 200, body: "event: bid\nid: 1\ndata: {\n\n"}}, 1, errUnreadable},
		"an endless line":   {t.Context(), []reply{{status: 200, body: "data: " + strings.Repeat("a", messageLine)}}, 1, bufio.ErrTooLong},
		"redirected":        {t.Context(), []reply{moved}, 1, Blank},
		"a wrong last id":   {t.Context(), []reply{{status: 200, body: "retry: 1\nid: \x01\n\n"}}, 1, errUnsendable},
		"left":              {ended, []reply{{err: context.Canceled}}, 1, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{answers: c.answers}
			n := 0
			for _, err := range s.client(WithAttempts(3)).Follow(c.ctx, 9, FeedOptions{}) {
				if n++; !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			}
			if n != 1 || len(s.got) != c.sent {
				t.Errorf("%d errors, opened %d times", n, len(s.got))
			}
		})
	}
}

// quiet is the body of a feed that ends with its request. It gives a part at each read, and nothing after the last one.
type quiet struct {
	ctx   context.Context
	parts []string
}

func (q *quiet) Read(b []byte) (int, error) {
	if len(q.parts) == 0 {
		<-q.ctx.Done()
	}
	if q.ctx.Err() != nil {
		return 0, context.Cause(q.ctx)
	}
	part := q.parts[0]
	q.parts = q.parts[1:]
	return copy(b, part), nil
}

// A feed in which no heartbeat comes is opened again. However long the caller takes over an event, the feed stays open.
func TestASilentFeedIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bid, last = "event: bid\nid: 1.0-0\ndata: {\"id\":7}\n\n", "event: close\nid: 1.1-0\ndata: {}\n\n"
		feeds, opened := [][]string{{":\n\n"}, {bid, last}}, 0
		silent := roundTripper(func(r *http.Request) (*http.Response, error) {
			opened++
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(&quiet{r.Context(), feeds[opened-1]}), Request: r}, nil
		})
		var cuts []error
		begun := time.Now()
		c := New("http://test", WithHTTPClient(&http.Client{Transport: silent}))
		for e, err := range c.Follow(t.Context(), 9, FeedOptions{Cut: func(err error) { cuts = append(cuts, err) }}) {
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begun); e.Kind == EventBid && took != feedSilence+firstReopening {
				t.Errorf("opened again after %v", took)
			}
			if err := sleep.For(t.Context(), 2*feedSilence); err != nil {
				t.Error(err)
			}
		}
		if opened != 2 || len(cuts) != 1 || !errors.Is(cuts[0], errSilent) {
			t.Errorf("opened %d times: %v", opened, cuts)
		}
	})
}
