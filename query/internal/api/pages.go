package api

import (
	"net/http"
	"strings"

	"github.com/stock-pyramid/stock-pyramid/internal/openapi"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// servePage serves a page for people, which may load and run nothing.
func servePage(text []byte) web.Handler {
	serve := web.File("text/html; charset=utf-8", text)
	return func(w http.ResponseWriter, r *http.Request) error {
		h := w.Header()
		h.Set("Content-Security-Policy", openapi.Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		return serve(w, r)
	}
}

// aboutProblem serves the page of a type of problems. The path is the type.
func aboutProblem(w http.ResponseWriter, r *http.Request) error {
	text := openapi.Problem(strings.TrimPrefix(r.URL.Path, "/problems/"))
	if text == nil {
		return web.NoPath.Problem("there is no such type of problem")
	}
	return servePage(text)(w, r)
}
