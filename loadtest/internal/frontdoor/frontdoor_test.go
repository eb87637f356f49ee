package frontdoor

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
