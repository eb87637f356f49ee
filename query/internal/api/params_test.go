package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// However many wrong parameters a request has, only a few are named.
func TestFlawsAreBounded(t *testing.T) {
	p := readParams(httptest.NewRequest(http.MethodGet, "/?a"+strings.Repeat("&ab&%zz&limit=1", 5000), nil), "limit")
	if n := len(p.malformed); n == 0 || n > maxFlaws || p.err() == nil {
		t.Errorf("%d flaws", n)
	}
}
