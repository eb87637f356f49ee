package web

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var errKnown = errors.New("the driver's own words")

func testRouter(t *testing.T) *Router {
	t.Helper()
	rt := NewRouter(slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry(), func(err error) *Problem {
		if errors.Is(err, errKnown) {
			return NewProblem(http.StatusServiceUnavailable, "try again").Retry(1500 * time.Millisecond)
		}
		return nil
	})
	rt.Handle("GET", "/things/{id}", func(w http.ResponseWriter, r *http.Request) error {
		WriteJSON(w, r, http.StatusOK, map[string]string{"a": "<b>"})
		return nil
	})
	rt.Handle("DELETE", "/things/{id}", func(http.ResponseWriter, *http.Request) error { return errKnown })
	rt.Handle("GET", "/panic", func(http.ResponseWriter, *http.Request) error { panic("secret") })
	rt.Handle("GET", "/unknown-error", func(http.ResponseWriter, *http.Request) error { return errors.New("secret") })
	return rt
}

func TestRouterAnswersProblems(t *testing.T) {
	rt := testRouter(t)
	for _, c := range []struct {
		method, path string
		status       int
		header, want string
	}{
		{"GET", "/things/1", 200, "Content-Type", "application/json"},
		{"HEAD", "/things/1", 200, "Content-Type", "application/json"},
		{"DELETE", "/things/1", 503, "Retry-After", "2"},
		{"POST", "/things/1", 405, "Allow", "GET, HEAD, DELETE"},
		{"BREW", "/panic", 405, "Allow", "GET, HEAD"},
		{"GET", "/nothing", 404, "Content-Type", "application/problem+json"},
		{"GET", "//things/1", 404, "Content-Type", "application/problem+json"},
		{"DELETE", "/./things/1", 404, "Content-Type", "application/problem+json"},
		{"GET", "/things%2F1", 404, "Content-Type", "application/problem+json"},
		{"GET", "/things/1%2F2", 200, "Content-Type", "application/json"},
		{"GET", "/panic", 500, "Content-Type", "application/problem+json"},
		{"GET", "/unknown-error", 500, "Content-Type", "application/problem+json"},
	} {
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get(c.header) != c.want {
			t.Errorf("%s %s: %d %s: %q, want %d and %q", c.method, c.path, w.Code, c.header, w.Header().Get(c.header), c.status, c.want)
		}
		if w.Header().Get(RequestIDHeader) == "" {
			t.Errorf("%s %s: no request id", c.method, c.path)
		}
		if w.Code < 400 {
			continue
		}
		var p Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != c.status || p.Title == "" || p.Type == "" ||
			p.Detail == "" || !strings.HasPrefix(p.Instance, c.path) {
			t.Errorf("%s %s: problem %s (%v)", c.method, c.path, w.Body, err)
		}
		if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "driver") {
			t.Errorf("%s %s leaks: %s", c.method, c.path, w.Body)
		}
	}
}

// An answer that fails after its status was sent never looks complete.
func TestABodyThatFailsIsCutOff(t *testing.T) {
	rt := testRouter(t)
	begin := func(w http.ResponseWriter) {
		if _, err := io.WriteString(w, "[1,"); err != nil {
			t.Error(err)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	}
	rt.Handle("GET", "/half/panic", func(w http.ResponseWriter, _ *http.Request) error { begin(w); panic("secret") })
	rt.Handle("GET", "/half/error", func(w http.ResponseWriter, _ *http.Request) error { begin(w); return errors.New("secret") })
	server := httptest.NewServer(rt)
	defer server.Close()
	for _, path := range []string{"/half/panic", "/half/error"} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil || string(body) != "[1," {
			t.Errorf("%s: %q looks whole (%v)", path, body, err)
		}
	}
}

// Whatever characters the path and the id have, the instance is a URI reference (RFC 9457, 3.1.5).
func TestInstanceIsAURIReference(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL.Path, r.URL.RawPath = `/é"<script>/a b?c`, ""
	r.Header.Set(RequestIDHeader, `a"<b>`)
	w := httptest.NewRecorder()
	testRouter(t).ServeHTTP(w, r)
	var p Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	if want := "/%C3%A9%22%3Cscript%3E/a%20b%3Fc#a%22%3Cb%3E"; p.Instance != want {
		t.Errorf("instance %s, want %s", p.Instance, want)
	}
}

func TestRequestIDIsKeptOnlyWhenFitForALog(t *testing.T) {
	rt := testRouter(t)
	for id, kept := range map[string]bool{"abc-1": true, "two words": false, strings.Repeat("x", 65): false, "a\x00b": false} {
		r := httptest.NewRequest(http.MethodGet, "/things/1", nil)
		r.Header[RequestIDHeader] = []string{id}
		w := httptest.NewRecorder()
		rt.ServeHTTP(w, r)
		if got := w.Header().Get(RequestIDHeader); (got == id) != kept || got == "" {
			t.Errorf("id %q answered as %q", id, got)
		}
	}
}

func TestReadJSONIsStrict(t *testing.T) {
	type doc struct {
		Size  int16  `json:"size"`
		Price int32  `json:"price"`
		Name  string `json:"name"`
	}
	for _, c := range []struct {
		name, media, body string
		status            int
		field             string
	}{
		{"good", "application/json", `{"size":270,"price":1}`, 0, ""},
		{"good with charset", "application/json; charset=utf-8", " {\"size\":270}\n", 0, ""},
		{"no type", "", `{}`, 415, ""},
		{"form", "application/x-www-form-urlencoded", `{}`, 415, ""},
		{"empty", "application/json", ``, 400, ""},
		{"cut", "application/json", `{"size":`, 400, ""},
		{"array", "application/json", `[]`, 400, ""},
		{"two values", "application/json", `{} {}`, 400, ""},
		{"trailing", "application/json", `{}x`, 400, ""},
		{"names in values", "application/json", `{"name":"\"Size\":{[\\","size":270}`, 0, ""},
		{"unknown field", "application/json", `{"sizes":1}`, 400, "sizes"},
		{"upper case", "application/json", `{"Size":270}`, 400, "Size"},
		{"escaped name", "application/json", `{"\u0073ize":270}`, 0, ""},
		{"no object", "application/json", `1`, 400, ""}, {"null", "application/json", ` null`, 400, ""},
		{"invalid UTF-8", "application/json", "{\"name\":\"p\xe4ss\"}", 400, ""},
		{"lone surrogate", "application/json", `{"name":"\ud800"}`, 400, ""},
		{"folded name", "application/json", `{"ſize":270}`, 400, "ſize"},
		{"twice", "application/json", `{"size":270,"price":1,"size":280}`, 400, "size"},
		{"string for number", "application/json", `{"size":"270"}`, 400, "size"},
		{"number for string", "application/json", `{"name":1}`, 400, "name"},
		{"overflow", "application/json", `{"size":40000}`, 422, "size"},
		{"huge", "application/json", `{"price":99999999999999999999}`, 422, "price"},
		{"fraction", "application/json", `{"price":1.5}`, 422, "price"},
		{"too long", "application/json", `{"name":"` + strings.Repeat("x", MaxBody) + `"}`, 413, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.media)
		var v doc
		err := ReadJSON(httptest.NewRecorder(), r, &v)
		if c.status == 0 {
			if err != nil || v.Size != 270 {
				t.Errorf("%s: %+v, %v", c.name, v, err)
			}
			continue
		}
		var p *Problem
		if !errors.As(err, &p) || p.Status != c.status || (c.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != c.field)) {
			t.Errorf("%s: %v %+v, want %d naming %q", c.name, err, p, c.status, c.field)
		}
	}
}
