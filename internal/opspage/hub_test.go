package opspage

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// start serves the page of a service with one series, whose value is 7.
func start(t *testing.T, service string, peers ...string) (h *Hub, url string, stop func()) {
	t.Helper()
	h = NewHub(Options{Service: service, Instance: "127.0.0.1:1", Peers: peers, Log: slog.New(slog.DiscardHandler),
		Plots: []Plot{{Title: "Lag", Unit: "ms", Series: []string{"lag"}}},
		Look: func(time.Time) (Report, []Value) {
			return Report{Verdict: Verdict{Good, "All is well."}}, []Value{7}
		}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	server := httptest.NewServer(h.Handler(http.NotFoundHandler()))
	t.Cleanup(server.Close)
	return h, server.URL, stop
}

// follow opens a feed.
func follow(t *testing.T, url string) *bufio.Scanner {
	t.Helper()
	w, err := http.Get(url + feedPath)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Body.Close() })
	if got := w.Header.Get("Content-Type"); w.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("%s %s", w.Status, got)
	}
	return bufio.NewScanner(w.Body)
}

// next reads the next event into v.
func next(t *testing.T, feed *bufio.Scanner, name string, v any) {
	t.Helper()
	for feed.Scan() {
		data, is := strings.CutPrefix(feed.Text(), "data: ")
		if feed.Text() == "" || !is {
			if got, named := strings.CutPrefix(feed.Text(), "event: "); named && got != name {
				t.Fatalf("event %q, want %q", got, name)
			}
			continue
		}
		if err := json.Unmarshal([]byte(data), v); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("the feed ended: %v", feed.Err())
}

type seen struct {
	Plots []Plot
	Own   struct {
		Service string
		At      int64
		Events  []Event
	}
	Samples []struct{ Values []float64 }
	Sample  struct {
		At     int64
		Values []float64
	}
	Peers []struct {
		Address string
		Silent  int64 `json:"silent_ms"`
		Report  *Report
	}
}

// A page that is opened gets what was before, then a frame each second, and the end when the service stops.
func TestTheFeedBeginsWithItsHistory(t *testing.T) {
	h, url, stop := start(t, "query")
	testenv.Eventually(t, 10*time.Second, "a sample", func() bool { return h.state().At != 0 })
	feed := follow(t, url)
	var past, now seen
	next(t, feed, "history", &past)
	if len(past.Plots) != 1 || len(past.Samples) == 0 || past.Samples[0].Values[0] != 7 {
		t.Errorf("history %+v", past)
	}
	next(t, feed, "now", &now)
	h.Tell(Lags, "3 s")
	for frames := 0; len(now.Own.Events) != 2; frames++ {
		if frames > 3 {
			t.Fatalf("the event does not come: %+v", now.Own.Events)
		}
		before := now.Sample.At
		next(t, feed, "now", &now)
		if now.Sample.At <= before || now.Own.Service != "query" || now.Sample.Values[0] != 7 {
			t.Errorf("frame %+v after %d", now, before)
		}
	}
	if got := now.Own.Events[1].Text; got != "Redis is 3 s behind the primary." {
		t.Errorf("event %q", got)
	}
	stop()
	for feed.Scan() {
	}
	if feed.Err() != nil {
		t.Errorf("the feed was cut off: %v", feed.Err())
	}
}

// A peer's last report stays, with how long ago it was heard, and an event says when it fell silent.
func TestASilentPeerIsTold(t *testing.T) {
	_, other, _ := start(t, "replicator")
	gate := make(chan struct{})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate: // a stopped process takes the request and does not answer
			<-r.Context().Done()
			return
		default:
		}
		answer, err := http.Get(other + r.URL.Path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.WriteHeader(answer.StatusCode)
		if _, err := io.Copy(w, answer.Body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(proxy.Close)
	h, url, _ := start(t, "query", proxy.URL)
	feed := follow(t, url)
	var frame seen
	next(t, feed, "history", &frame)
	for frame.Peers == nil || frame.Peers[0].Report == nil {
		next(t, feed, "now", &frame)
	}
	if p := frame.Peers[0]; p.Report.Service != "replicator" || "http://"+p.Address != proxy.URL || p.Report.Verdict.Text != "All is well." {
		t.Errorf("peer %+v", p)
	}
	close(gate)
	want := "The replicator " + strings.TrimPrefix(proxy.URL, "http://") + " has said nothing for 5 s."
	testenv.Eventually(t, 30*time.Second, want, func() bool {
		all := h.events.all()
		return all[len(all)-1].Text == want
	})
	for next(t, feed, "now", &frame); frame.Peers[0].Silent < 5000; {
		next(t, feed, "now", &frame)
	}
	if frame.Peers[0].Report.Service != "replicator" {
		t.Error("the last report is gone")
	}
}

// The page is one document that may load nothing, and its policy is that of its own style and script.
func TestThePageLoadsNothing(t *testing.T) {
	_, url, _ := start(t, "query")
	w, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	doc, err := html.Parse(w.Body)
	if err != nil || w.Request.URL.Path != pagePath {
		t.Fatalf("%s: %v", w.Request.URL, err)
	}
	policy := w.Header.Get("Content-Security-Policy")
	found := map[string]bool{}
	for n := range doc.Descendants() {
		for _, a := range n.Attr {
			if (a.Key == "src" || a.Key == "href") && a.Val != "data:," || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
		if n.Data == "style" || n.Data == "script" {
			found[n.Data] = true
			if !strings.Contains(policy, n.Data+"-src '"+hash(n.FirstChild.Data)+"'") {
				t.Errorf("the policy %q does not let the %s work", policy, n.Data)
			}
		}
	}
	if len(found) != 2 || !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") {
		t.Errorf("%v, %q", found, policy)
	}
	if answer, err := http.Post(url+pagePath, "text/plain", nil); err != nil || answer.StatusCode != http.StatusNotFound || answer.Body.Close() != nil {
		t.Errorf("POST: %v, %v", answer, err)
	}
}

// A name that another site may have leads to nothing, so that its pages can't read what this one shows.
func TestAForeignNameSeesNothing(t *testing.T) {
	_, url, _ := start(t, "query")
	for _, path := range []string{pagePath, feedPath, statePath, tokenPath} {
		r, err := http.NewRequest(http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "evil.example.com"
		w, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if w.StatusCode != http.StatusForbidden || w.Body.Close() != nil {
			t.Errorf("%s: %s", path, w.Status)
		}
	}
}

func TestPeersOfAVariable(t *testing.T) {
	var p Peers
	if err := p.UnmarshalText([]byte(" http://127.0.0.1:9082/, https://query-2:9082,")); err != nil || strings.Join(p, " ") != "http://127.0.0.1:9082 https://query-2:9082" {
		t.Errorf("%q, %v", p, err)
	}
	for _, bad := range []string{"127.0.0.1:9082", "http://a/ops", "ftp://a", "http://u:p@a"} {
		if err := new(Peers).UnmarshalText([]byte(bad)); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
