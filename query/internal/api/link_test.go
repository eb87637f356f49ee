package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// A link names the request's path and parameters with another cursor, and nothing of them ends the link early.
func TestLinkHasAllParameters(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/v1/raffles?limit=7&q=a%3E%22%3B+%26%C3%A9&cursor=old&status=all", nil)
	p := readParams(r, "q", "limit", "status", "cursor")
	l := list{path: r.URL.Path, params: p}
	next := &cursor{kind: 'a', after: bidbook.Keyset{At: 5, ID: 6}}
	value := string(l.appendLink(nil, next))
	reference, found := strings.CutSuffix(strings.TrimPrefix(value, "<"), `>; rel="next"`)
	u, err := url.Parse(reference)
	if err != nil || !found || strings.ContainsAny(reference, `<>";, `) {
		t.Fatalf("%s: %v", value, err)
	}
	got := u.Query()
	if u.Path != "/v1/raffles" || got.Get("limit") != "7" || got.Get("q") != `a>"; &é` || got.Get("status") != "all" || len(got["cursor"]) != 1 || got.Get("cursor") != string(next.append(nil)) {
		t.Errorf("%s has %v", value, got)
	}
}
