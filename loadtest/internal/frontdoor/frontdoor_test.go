package frontdoor

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

func TestClient(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil || r.Method == http.MethodPost && (string(body) != "{}" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("A") != "b"):
			w.WriteHeader(http.StatusTeapot)
		case r.URL.Query().Get("status") == "open":
			_, _ = io.WriteString(w, `{"raffles":[{"id":3},{"id":1}]}`)
		case r.URL.Query().Get("status") == "closed":
			_, _ = io.WriteString(w, `{"raffles":[]}`)
		default:
			_, _ = io.WriteString(w, "no JSON")
		}
	}))
	t.Cleanup(s.Close)
	c := New(s.URL)
	t.Cleanup(c.Close)
	if a, err := c.Do(t.Context(), http.MethodPost, "/", []byte("{}"), "A", "b"); err != nil || a.Status != http.StatusOK || string(a.Body) != "no JSON" {
		t.Errorf("%+v, %v", a, err)
	}
	if ids, err := c.Raffles(t.Context(), "open"); err != nil || len(ids) != 2 || ids[0] != 3 {
		t.Errorf("%v, %v", ids, err)
	}
	for status, want := range map[string]string{"closed": "no raffles", "all": "GET /v1/raffles"} {
		if _, err := c.Raffles(t.Context(), status); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", status, err)
		}
	}
}

// A server that is restarted closes its kept connections. The client then sends a request again if the request may be sent twice.
func TestClosedConnectionsAreReplaced(t *testing.T) {
	closed := make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			_ = c.Close()
			closed <- struct{}{}
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	c := New(s.URL)
	t.Cleanup(c.Close)
	ask := func(method string, header ...string) error {
		_, err := c.Do(t.Context(), method, "/", []byte("{}"), header...)
		if err == nil {
			<-closed
		}
		return err
	}
	if err := ask(http.MethodGet); err != nil {
		t.Fatal(err)
	}
	if err := ask(http.MethodGet); err != nil {
		t.Errorf("GET: %v", err)
	}
	if err := ask(http.MethodPost, "Idempotency-Key", "k"); err != nil {
		t.Errorf("POST with a key: %v", err)
	}
	if err := ask(http.MethodPost); !errors.Is(err, fasthttp.ErrConnectionClosed) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("POST without a key: %v", err)
	}
}

// A request ends with the deadline of its context.
func TestARequestHasADeadline(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(s.Close)
	c := New(s.URL)
	t.Cleanup(c.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Do(ctx, http.MethodGet, "/", nil); !errors.Is(err, fasthttp.ErrTimeout) {
		t.Error(err)
	}
}
