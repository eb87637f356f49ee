// Package web is what the services' HTTP listeners share: problem documents, strict JSON, the router
// with its metrics, and the start and the end of a server.
package web

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Problem is an error as the client sees it: an RFC 9457 document. It is an error itself, so that a
// handler can return it. Nothing internal belongs into it.
type Problem struct {
	Type     string       `json:"type"`
	Title    string       `json:"title"`
	Status   int          `json:"status"`
	Detail   string       `json:"detail"`
	Instance string       `json:"instance"`
	Errors   []FieldError `json:"errors,omitempty"`

	// RetryAfter is sent as the header of that name, in seconds rounded up; 0: not sent.
	RetryAfter time.Duration `json:"-"`
	// Allow is sent as the header of that name.
	Allow string `json:"-"`
}

// FieldError names a field of the request and what is wrong with it.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// NewProblem makes a problem of a status; the title is the status's own text and the type
// about:blank, as RFC 9457 wants it for problems that say no more than their status.
func NewProblem(status int, detail string, fields ...FieldError) *Problem {
	return &Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail, Errors: fields}
}

// Error makes Problem an error.
func (p *Problem) Error() string { return strconv.Itoa(p.Status) + " " + p.Detail }

// Retry returns a copy that asks the client to try again after d.
func (p Problem) Retry(d time.Duration) *Problem {
	p.RetryAfter = d
	return &p
}

// Of returns a copy with a type, which is a URI reference, and the title that all problems of the type have.
func (p Problem) Of(uri, title string) *Problem {
	p.Type, p.Title = uri, title
	return &p
}

// WriteProblem answers a request with a problem; its instance, a URI reference, is the request's path and id.
func WriteProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	doc := *p
	instance := url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, Fragment: w.Header().Get(RequestIDHeader)}
	doc.Instance = instance.EscapedPath()
	if instance.Fragment != "" {
		doc.Instance += "#" + instance.EscapedFragment()
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	if p.Allow != "" {
		h.Set("Allow", p.Allow)
	}
	if c := p.challenge(); c != "" {
		h.Set("WWW-Authenticate", c)
	}
	write(w, r, p.Status, doc)
}

// challenge is the value of WWW-Authenticate, which says what token is needed (RFC 6750, section 3). It names no
// error if the request has no token.
func (p *Problem) challenge() string {
	const realm = `Bearer realm="stock-pyramid"`
	switch {
	case p.Type == WrongPassword.URI: // no other token would help
		return ""
	case p.Status == http.StatusForbidden:
		return realm + `, error="insufficient_scope", error_description="` + p.Title + `"`
	case p.Status == http.StatusUnauthorized && p.Type == BadToken.URI:
		return realm + `, error="invalid_token", error_description="` + p.Title + `"`
	case p.Status == http.StatusUnauthorized:
		return realm
	}
	return ""
}

// WriteJSON answers a request with a JSON document.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	write(w, r, status, v)
}

func write(w http.ResponseWriter, r *http.Request, status int, v any) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		slog.ErrorContext(r.Context(), "response not encodable", "path", r.URL.Path, "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	if _, err := w.Write(body.Bytes()); err != nil {
		slog.DebugContext(r.Context(), "client gone", "path", r.URL.Path, "error", err)
	}
}
