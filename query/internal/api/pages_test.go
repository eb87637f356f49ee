package api

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/internal/openapi"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

func ask(t *testing.T, h web.Handler, path string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	w := httptest.NewRecorder()
	err := h(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w, err
}

// The type of each problem is the path of a page about it.
func TestTypesOfProblemsLeadToTheirPage(t *testing.T) {
	for _, k := range web.Kinds {
		w, err := ask(t, aboutProblem, k.URI)
		if err != nil || w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "<code>"+k.URI+"</code>") {
			t.Errorf("%s: %v %d %s", k.URI, err, w.Code, w.Body)
		}
	}
	var p *web.Problem
	if _, err := ask(t, aboutProblem, "/problems/other"); !errors.As(err, &p) || p.Status != http.StatusNotFound {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestPagesComeWithTheirPolicy(t *testing.T) {
	w, err := ask(t, servePage(openapi.Reference), "/docs")
	h := w.Header()
	if err != nil || w.Body.String() != string(openapi.Reference) || h.Get("Content-Security-Policy") != openapi.Policy ||
		h.Get("Content-Type") != "text/html; charset=utf-8" || h.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("%v %v", err, h)
	}
}
