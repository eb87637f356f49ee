package api

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/command/internal/account"
	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/command/internal/product"
	"github.com/stock-pyramid/stock-pyramid/command/internal/raffle"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// service is the API over a real database. Every response is compared with the document.
type service struct {
	*httptest.Server
	t        testing.TB
	api      *API
	db       *testenv.Database
	keys     *auth.Folder
	document routers.Router
}

// response is a response with its body read.
type response struct {
	*http.Response
	body []byte
}

func newService(t testing.TB) *service {
	t.Helper()
	return newLimitedService(t, limit.Rates{})
}

func newLimitedService(t testing.TB, rates limit.Rates) *service {
	t.Helper()
	db := testenv.NewDatabase(t)
	fixture.Fill(t, db)
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	keys, err := auth.OpenFolder(t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	server := fixture.Primary(t, db)
	bids := bid.NewStore(server, bid.DefaultLimits.Lanes+1, reg)
	batcher := bid.NewBatcher(bids, bid.DefaultLimits, time.Now, log, reg)
	t.Cleanup(batcher.Close)
	a := &API{
		Bids:     batcher,
		Cancels:  bid.NewCancels(bids),
		Raffles:  raffle.NewStore(server, reg),
		Products: product.NewStore(server),
		Limits:   limit.NewGuard(rates, nil, reg),
		Logins:   account.NewLogins(server, auth.NewSigner(keys, time.Hour, time.Now), 24*time.Hour, 2, 100, reg),
		Keys:     keys,
		Verifier: auth.NewVerifier(keys, time.Now),
		OpenAPI:  text,
	}
	fixture.Warm(t, server)
	s := &service{t: t, api: a, db: db, keys: keys, Server: httptest.NewServer(a.Handler(log, reg))}
	t.Cleanup(s.Close)
	s.document, err = gorillamux.NewRouter(loadDocument(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func loadDocument(t testing.TB, text []byte) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// token is a token of a user, signed as the service does.
func (s *service) token(user int64) string {
	s.t.Helper()
	role := auth.RoleBidder
	if user == fixture.Admin {
		role = auth.RoleAdmin
	}
	token, err := auth.NewSigner(s.keys, time.Hour, time.Now).Sign(user, role)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *service) do(method, path, body string, header http.Header) response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	answer, err := s.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.holdToDocument(r, answer, text)
	return response{answer, text}
}

// holdToDocument fails the test if the document doesn't describe the response. Paths and methods that
// it doesn't have are answered 404 and 405.
func (s *service) holdToDocument(r *http.Request, answer *http.Response, body []byte) {
	s.t.Helper()
	described := r.Clone(r.Context())
	described.URL.Scheme, described.URL.Host = "", ""
	route, params, err := s.document.FindRoute(described)
	if err != nil {
		if answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed {
			s.t.Errorf("%s %s: %d, and not in the document: %v", r.Method, r.URL.Path, answer.StatusCode, err)
		}
		return
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: described, PathParams: params, Route: route},
		Status:                 answer.StatusCode, Header: answer.Header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		s.t.Errorf("%s %s: %d is not as the document says: %v", r.Method, r.URL.Path, answer.StatusCode, err)
	}
}

// post bids with a token and, if not empty, a key.
func (s *service) post(raffle, token, key, body string) response {
	s.t.Helper()
	h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
	if key != "" {
		h.Set(idempotencyKey, key)
	}
	return s.do("POST", "/v1/raffles/"+raffle+"/bids", body, h)
}

func (r response) bid(t testing.TB) (b bidDocument) {
	t.Helper()
	if err := json.Unmarshal(r.body, &b); err != nil || r.StatusCode != http.StatusCreated {
		t.Fatalf("no bid: %d %s %v", r.StatusCode, r.body, err)
	}
	return b
}

func TestDocumentHasEveryRoute(t *testing.T) {
	text, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	routes := (&API{}).routes()
	described, routed := make([]string, 0, len(routes)), make([]string, 0, len(routes))
	for path, item := range loadDocument(t, text).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, r := range routes {
		routed = append(routed, r.method+" "+r.path)
	}
	sort.Strings(described)
	sort.Strings(routed)
	if d, r := strings.Join(described, "\n"), strings.Join(routed, "\n"); d != r {
		t.Errorf("the document has\n%s\nand the router\n%s", d, r)
	}
}

// The validator itself must notice a wrong response.
func TestDocumentRefusesOtherAnswers(t *testing.T) {
	s := newService(t)
	good := s.post("1", s.token(1), "", `{"size":270,"price":1000}`)
	route := good.Request
	for name, spoil := range map[string]func(r *http.Response, body *[]byte){
		"status":        func(r *http.Response, _ *[]byte) { r.StatusCode = http.StatusTeapot },
		"content type":  func(r *http.Response, _ *[]byte) { r.Header.Set("Content-Type", "text/html") },
		"no Location":   func(r *http.Response, _ *[]byte) { r.Header.Del("Location") },
		"no Commit-LSN": func(r *http.Response, _ *[]byte) { r.Header.Del(commitLSN) },
		"id as text":    func(_ *http.Response, b *[]byte) { *b = bytes.Replace(*b, []byte(`"id":`), []byte(`"id":"1","x":`), 1) },
		"short time":    func(_ *http.Response, b *[]byte) { *b = bytes.Replace(*b, []byte(`Z"`), []byte(`1Z"`), 1) },
	} {
		answer := &http.Response{StatusCode: good.StatusCode, Header: good.Header.Clone()}
		body := bytes.Clone(good.body)
		spoil(answer, &body)
		probe := &probe{TB: t}
		(&service{t: probe, document: s.document}).holdToDocument(route, answer, body)
		if !probe.failed {
			t.Errorf("%s: not noticed", name)
		}
	}
}

// probe records that a test has failed.
type probe struct {
	testing.TB
	failed bool
}

func (p *probe) Errorf(string, ...any) { p.failed = true }
