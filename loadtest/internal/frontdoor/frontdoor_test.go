package frontdoor

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/client"
)

// A caller that has more requests under way than connections waits, and a host that is gone is given up soon.
func TestConnectionsAreBounded(t *testing.T) {
	if tr := transport(); tr.MaxConnsPerHost != connections || tr.MaxIdleConnsPerHost != connections || tr.DialContext == nil {
		t.Errorf("%d connections, %d kept", tr.MaxConnsPerHost, tr.MaxIdleConnsPerHost)
	}
}

func TestRaffles(t *testing.T) {
	bodies := map[string]string{client.Open: `{"raffles":[{"id":3},{"id":1}]}`, client.Closed: `{"raffles":[]}`, client.All: "no JSON"}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, bodies[r.URL.Query().Get("status")])
	}))
	t.Cleanup(s.Close)
	door := New(s.URL, 1)
	t.Cleanup(door.Close)
	if ids, err := Raffles(t.Context(), door, client.Open); err != nil || !slices.Equal(ids, []int64{3, 1}) {
		t.Errorf("%v, %v", ids, err)
	}
	for status, want := range map[string]string{client.Closed: "no raffles", client.All: "GET /v1/raffles"} {
		if _, err := Raffles(t.Context(), door, status); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", status, err)
		}
	}
}
