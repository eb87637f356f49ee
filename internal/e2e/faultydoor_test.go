package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// faultyDoor stands before the front door. It passes the first request for a bid on and keeps the answer, refuses the second
// one, and passes on everything else.
type faultyDoor struct {
	url   string
	proxy *httputil.ReverseProxy

	mu       sync.Mutex
	keys     []string // of the requests for a bid
	lost     int      // the status of the answer that was kept
	refused  time.Time
	waited   time.Duration // from the refusal to the next request
	commit   string        // the Commit-LSN that was handed over
	minimums []string      // the Min-LSN of each list of bids
}

func startFaultyDoor(t testing.TB, front string) *faultyDoor {
	t.Helper()
	target, err := url.Parse(front)
	if err != nil {
		t.Fatal(err)
	}
	d := &faultyDoor{proxy: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

func (d *faultyDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ofBids := strings.HasPrefix(r.URL.Path, "/v1/raffles/") && strings.HasSuffix(r.URL.Path, "/bids")
	switch {
	case ofBids && r.Method == http.MethodPost:
		d.takeBid(w, r)
		return
	case ofBids:
		d.mu.Lock()
		d.minimums = append(d.minimums, r.Header.Get("Min-LSN"))
		d.mu.Unlock()
	}
	d.proxy.ServeHTTP(w, r)
}

func (d *faultyDoor) takeBid(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys = append(d.keys, r.Header.Get("Idempotency-Key"))
	answer := httptest.NewRecorder()
	switch len(d.keys) {
	case 1:
		d.proxy.ServeHTTP(answer, r)
		d.lost = answer.Code
		panic(http.ErrAbortHandler) // cuts the connection
	case 2:
		d.refused = time.Now()
		writeProblem(w, r, http.StatusServiceUnavailable, "/problems/unavailable", "nothing was done; try again soon")
	default:
		d.waited = time.Since(d.refused)
		d.proxy.ServeHTTP(answer, r)
		d.commit = answer.Header().Get("Commit-LSN")
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the client may be gone
	}
}

// writeProblem refuses a request in the form of the front door.
func writeProblem(w http.ResponseWriter, r *http.Request, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("X-Request-Id", "7")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, fmt.Sprintf(`{"type":%q,"title":"Refused","status":%d,"detail":%q,"instance":%q}`, kind, status, detail, r.URL.Path+"#7")) // as above
}
