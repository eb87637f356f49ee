package e2e

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// note remembers the headers of an answer. The client itself takes Content-Encoding away.
func (w *walk) note(answer *http.Response) {
	for name := range answer.Header {
		w.headers[name] = true
	}
	if answer.Uncompressed {
		w.headers["Content-Encoding"] = true
	}
}

// sendsEachHeader wants that some answer had each documented header.
func (w *walk) sendsEachHeader() {
	for path, item := range w.document.Paths.Map() {
		for method, operation := range item.Operations() {
			for status, response := range operation.Responses.Map() {
				for name := range response.Value.Headers {
					if name := http.CanonicalHeaderKey(name); !w.headers[name] {
						w.headers[name] = true // one error is enough
						w.t.Errorf("%s %s: header %s of %s is never sent", method, path, name, status)
					}
				}
			}
		}
	}
}

// nearLimits asks for every operation once with less than half of each limit left, and until all is used up. Every
// answer for which RateLimit is documented must have it.
func (w *walk) nearLimits(s *stack) (asked int) {
	const cheap, heavy = "/.well-known/jwks.json", "/v1/bids?size=270&limit=2000" // which weighs 40
	_, s.commandURL, s.commandAdmin = s.startCommand(w.t, "RATE_LIMIT=address=0.001/200")
	_, s.queryURL, s.queryAdmin = s.startQuery(w.t, "RATE_LIMIT=read=0.001/2000")
	w.url = s.frontDoor(w.t)
	low := func(a *http.Response) bool { return a.Header.Get("RateLimit") != "" }
	asked += w.repeat(cheap, low) + w.repeat(heavy, low)
	w.near = true
	before := w.statuses[http.StatusTooManyRequests]
	for _, path := range slices.Sorted(maps.Keys(w.document.Paths.Map())) {
		operations := w.document.Paths.Value(path).Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			w.send(w.requests(method, path, operations[method], []asker{admin})[0])
			asked++
		}
	}
	if n := w.statuses[http.StatusTooManyRequests] - before; n > 0 {
		w.t.Errorf("%d requests were refused too early", n)
	}
	refused := func(a *http.Response) bool { return a.StatusCode == http.StatusTooManyRequests }
	asked += w.repeat(cheap, refused) + w.repeat(heavy, refused)
	for _, page := range []string{cheap, heavy} {
		path, query, _ := strings.Cut(page, "?")
		w.send(sent{method: http.MethodGet, path: path, query: query})
		asked++
	}
	return asked
}

// repeat gets a page until an answer is as wanted.
func (w *walk) repeat(page string, wanted func(*http.Response) bool) (asked int) {
	for asked < 300 {
		answer, err := w.client.Get(w.url + page)
		if err != nil {
			w.t.Fatal(err)
		}
		asked++
		_, err = io.Copy(io.Discard, answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil {
			w.t.Fatal(err)
		}
		if wanted(answer) {
			return asked
		}
	}
	w.t.Errorf("GET %s: not as wanted in %d answers", page, asked)
	return asked
}
