package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/stock-pyramid/stock-pyramid/internal/openapi"
)

// walk sends requests that are derived from the joined document through the front door.
type walk struct {
	t        *testing.T
	url      string
	document *openapi3.T
	router   routers.Router
	client   *http.Client
	tokens   map[asker]string
	exist    map[string]string // ids that there are, in place of the examples of the document
	statuses map[int]int
	types    map[string]bool // of the problems that were answered
	headers  map[string]bool // that answers had
	near     bool            // every answer that may name a limit must do so
}

// asker is who asks.
type asker int

const (
	nobody asker = iota
	stranger
	bidder
	admin
)

// usual are header fields that HTTP itself explains, or that no client needs.
var usual = []string{"Connection", "Content-Length", "Content-Type", "Date", "Keep-Alive", "Transfer-Encoding", "X-Content-Type-Options"}

// malformed are the statuses that the default answer is documented for.
var malformed = []int{400, 408, 413, 431, 501}

// Whatever is asked, with all services up, without command and without query: each status, header and body is as the
// joined document says.
func TestEveryAnswerIsDocumented(t *testing.T) {
	s := startStack(t)
	w := newWalk(t, s)
	w.refusesOthers()
	asked := w.all(nobody, stranger, bidder, admin)
	w.readAboutProblems()
	s.command.Stop(t)
	asked += w.all(bidder)
	s.command.Start(t)
	s.query.Stop(t)
	asked += w.all(bidder)
	asked += w.nearLimits(s)
	w.sendsEachHeader()
	t.Logf("%d requests: %v", asked, w.statuses)
	if asked < 1000 {
		t.Errorf("%d requests", asked)
	}
	for _, status := range []int{200, 201, 204, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 503} {
		if w.statuses[status] == 0 {
			t.Errorf("nothing was answered %d", status)
		}
	}
}

func newWalk(t *testing.T, s *stack) *walk {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(openapi.YAML)
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		t.Fatal(err)
	}
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.PlainBodyDecoder)
	w := &walk{t: t, url: s.frontDoor(t), document: document, router: router, statuses: map[int]int{}, types: map[string]bool{}, headers: map[string]bool{},
		tokens: map[asker]string{stranger: "Bearer a.b.c", bidder: s.login(t, "user1"), admin: s.login(t, "admin")},
		client: &http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	t.Cleanup(w.client.CloseIdleConnections)
	var bid struct{ ID int64 }
	a := s.must(t, http.StatusCreated, "POST", s.bidsURL(openRaffle), map[string]int{"size": 270, "price": 1000}, "Authorization", w.tokens[bidder])
	if err := json.Unmarshal(a.body, &bid); err != nil {
		t.Fatal(err)
	}
	w.exist = map[string]string{"raffle_id": strconv.Itoa(openRaffle), "bid_id": strconv.FormatInt(bid.ID, 10), "product_id": "1", "If-None-Match": "*"}
	return w
}

// all lets some ask for every operation with every value, and returns how many requests it sent.
func (w *walk) all(askers ...asker) (asked int) {
	for _, path := range slices.Sorted(maps.Keys(w.document.Paths.Map())) {
		operations := w.document.Paths.Value(path).Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			by := askers
			if method == http.MethodHead {
				by = []asker{bidder} // a HEAD is a GET
			}
			for _, r := range w.requests(method, path, operations[method], by) {
				w.send(r)
				asked++
			}
		}
		for _, method := range []string{"PUT", "PATCH", "OPTIONS"} {
			w.send(sent{method: method, path: strings.NewReplacer("{", "", "}", "").Replace(path)})
			asked++
		}
	}
	return asked
}

// refusesOthers spoils an answer in several ways, each of which must be noticed.
func (w *walk) refusesOthers() {
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+"/hello", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for name, spoil := range map[string]func(a *http.Response, body *string){
		"as it is":     func(*http.Response, *string) {},
		"status":       func(a *http.Response, _ *string) { a.StatusCode = http.StatusTeapot },
		"other header": func(a *http.Response, _ *string) { a.Header.Set("X-Other", "1") },
		"no header":    func(a *http.Response, _ *string) { a.Header.Del("X-Request-Id") },
		"body":         func(_ *http.Response, body *string) { *body = "Hello" },
	} {
		a := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/plain"}, "X-Request-Id": {"1"}}}
		body := "Hello World"
		spoil(a, &body)
		if err := w.hold(r, a, []byte(body)); (err == nil) != (name == "as it is") {
			w.t.Errorf("%s: %v", name, err)
		}
	}
}

// readAboutProblems follows each type of problem that was answered to its page.
func (w *walk) readAboutProblems() {
	delete(w.types, "about:blank")
	if len(w.types) < 10 {
		w.t.Errorf("only these problems: %v", w.types)
	}
	for kind := range w.types {
		answer, err := http.Get(w.url + kind)
		if err != nil {
			w.t.Fatal(err)
		}
		page, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK || !bytes.Contains(page, []byte(kind)) {
			w.t.Errorf("%s: %d %v", kind, answer.StatusCode, err)
		}
	}
}

// sent is one derived request.
type sent struct {
	method, path, query string
	header              http.Header
	body                []byte
	by                  asker
}

func (w *walk) send(s sent) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	address := w.url + s.path
	if s.query != "" {
		address += "?" + s.query
	}
	r, err := http.NewRequestWithContext(ctx, s.method, address, bytes.NewReader(s.body))
	if err != nil {
		w.t.Errorf("%s %s: %v", s.method, address, err)
		return
	}
	if s.header != nil {
		r.Header = s.header
	}
	if token := w.tokens[s.by]; token != "" {
		r.Header.Set("Authorization", token)
	}
	answer, err := w.client.Do(r)
	if err != nil {
		w.t.Errorf("%s %s: %v", s.method, address, err)
		return
	}
	body, err := readAnswer(answer)
	if err != nil {
		w.t.Errorf("%s %s: %v", s.method, address, err)
	}
	w.statuses[answer.StatusCode]++
	w.note(answer)
	var problem struct{ Type string }
	if answer.Header.Get("Content-Type") == "application/problem+json" && json.Unmarshal(body, &problem) == nil {
		w.types[problem.Type] = true
	}
	if err := w.hold(r, answer, body); err != nil {
		w.t.Errorf("%s %s %v %.300s: %d %v %.300s: %v", s.method, address, s.header, s.body, answer.StatusCode, answer.Header, body, err)
	}
}

// readAnswer reads an answer to its end, or a feed to the end of its first event.
func readAnswer(answer *http.Response) ([]byte, error) {
	if answer.Header.Get("Content-Type") != "text/event-stream" {
		body, err := io.ReadAll(answer.Body)
		return body, errors.Join(err, answer.Body.Close())
	}
	var body []byte
	for part := make([]byte, 512); !bytes.Contains(body, []byte("\n\n")); {
		n, err := answer.Body.Read(part)
		if body = append(body, part[:n]...); err != nil {
			break
		}
	}
	return body, answer.Body.Close()
}

// hold compares an answer with the document. A method that a path does not have is answered as the document says of all
// paths.
func (w *walk) hold(r *http.Request, answer *http.Response, body []byte) error {
	described := r.Clone(r.Context())
	described.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath}
	described.Host = ""
	route, params, err := w.router.FindRoute(described)
	var response *openapi3.Response
	switch {
	case errors.Is(err, routers.ErrMethodNotAllowed) && answer.StatusCode == http.StatusMethodNotAllowed:
		response = w.document.Components.Responses["WrongMethod"].Value
	case err != nil && answer.StatusCode == http.StatusNotFound:
		response = w.document.Components.Responses["NotFound"].Value
	case err != nil:
		return err
	default:
		documented := route.Operation.Responses.Status(answer.StatusCode)
		if documented == nil && slices.Contains(malformed, answer.StatusCode) {
			documented = route.Operation.Responses.Default()
		}
		if documented == nil {
			return errors.New("this status is not documented")
		}
		response = documented.Value
	}
	errs := []error{w.holdHeaders(response, answer.Header)}
	if route != nil {
		errs = append(errs, openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: described, PathParams: params, Route: route},
			Status:                 answer.StatusCode, Header: answer.Header, Body: io.NopCloser(bytes.NewReader(body)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}))
	}
	return errors.Join(errs...)
}

// holdHeaders wants all required headers and no other than the documented ones.
func (w *walk) holdHeaders(response *openapi3.Response, header http.Header) error {
	documented := map[string]bool{}
	var errs []error
	for name, h := range response.Headers {
		documented[http.CanonicalHeaderKey(name)] = true
		required := h.Value.Required || w.near && strings.HasPrefix(name, "RateLimit")
		if required && header.Get(name) == "" {
			errs = append(errs, fmt.Errorf("header %s is missing", name))
		}
	}
	for name := range header {
		if !documented[name] && !slices.Contains(usual, name) {
			errs = append(errs, fmt.Errorf("header %s is not documented", name))
		}
	}
	return errors.Join(errs...)
}
