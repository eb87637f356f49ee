package api

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// internalText is what no client may see: drivers, SQL, Go and file names.
var internalText = regexp.MustCompile(`(?i)pgx|pgconn|sqlstate|select |insert |goroutine|\.go\b|json: |jwt|crypto/|dial tcp|context `)

const goodBid = `{"size":270,"price":1000}`

type badRequest struct {
	name, method, path, body string
	header                   map[string]string // "": taken away
	status                   int
	fields                   string // named in errors, separated by spaces
}

func (s *service) tokenOf(alg jwt.SigningMethod, key any) string {
	s.t.Helper()
	t := jwt.NewWithClaims(alg, jwt.MapClaims{"iss": auth.Issuer, "aud": auth.Audience, "sub": "1", "role": "admin",
		"exp": time.Now().Add(time.Hour).Unix()})
	t.Header["kid"] = "forged"
	token, err := t.SignedString(key)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func (s *service) expired() string {
	s.t.Helper()
	token, err := auth.NewSigner(s.keys, time.Second, func() time.Time { return time.Now().Add(-time.Minute) }).Sign(1, auth.RoleBidder)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func badRequests(s *service) []badRequest {
	const bids, login = "/v1/raffles/1/bids", "/v1/login"
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	key := func(k string) map[string]string { return map[string]string{idempotencyKey: k} }
	body := func(name, body string, status int, fields string) badRequest {
		return badRequest{name: name, method: "POST", path: bids, body: body, status: status, fields: fields}
	}
	return []badRequest{
		body("empty body", ``, 400, ""), body("half a body", `{"size":270,`, 400, ""), body("not JSON", `size=270`, 400, ""),
		body("an array", `[270,1000]`, 400, ""), body("a string", `"bid"`, 400, ""),
		body("trailing data", goodBid+`{}`, 400, ""), body("trailing text", goodBid+`x`, 400, ""),
		body("unknown field", `{"size":270,"price":1000,"colour":"red"}`, 400, "colour"),
		body("user_id in the body", `{"size":270,"price":1000,"user_id":2}`, 400, "user_id"),
		body("size as text", `{"size":"270","price":1000}`, 400, "size"),
		body("price as object", `{"size":270,"price":{}}`, 400, "price"),
		body("quantity as bool", `{"size":270,"price":1,"quantity":true}`, 400, "quantity"),
		body("size over smallint", `{"size":32768,"price":1000}`, 422, "size"),
		body("price over integer", `{"size":270,"price":2147483648}`, 422, "price"),
		body("price over everything", `{"size":270,"price":1e400}`, 422, "price"),
		body("quantity over integer", `{"size":270,"price":1,"quantity":99999999999999999999}`, 422, "quantity"),
		body("fraction", `{"size":270.5,"price":1000}`, 422, "size"),
		body("nothing", `{}`, 422, "size price"), body("null", `null`, 422, "size price"),
		body("zeros", `{"size":0,"price":0,"quantity":0}`, 422, "size price quantity"),
		body("negative", `{"size":-270,"price":-1,"quantity":-1}`, 422, "size price quantity"),
		body("quantity 0", `{"size":270,"price":1,"quantity":0}`, 422, "quantity"),
		body("quantity null", `{"size":270,"price":1,"quantity":null}`, 422, "quantity"),
		body("too large", `{"size":270,"price":1000`+strings.Repeat(" ", web.MaxBody)+`}`, 413, ""),
		{name: "form", method: "POST", path: bids, body: goodBid, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, status: 415},
		{name: "no content type", method: "POST", path: bids, body: goodBid, header: map[string]string{"Content-Type": ""}, status: 415},

		{name: "no token", method: "POST", path: bids, body: goodBid, header: map[string]string{"Authorization": ""}, status: 401},
		{name: "basic", method: "POST", path: bids, body: goodBid, header: map[string]string{"Authorization": "Basic dXNlcjE6cHlyYW1pZA=="}, status: 401},
		{name: "empty token", method: "POST", path: bids, body: goodBid, header: bearer(""), status: 401},
		{name: "garbage token", method: "POST", path: bids, body: goodBid, header: bearer("a.b.c"), status: 401},
		{name: "expired token", method: "POST", path: bids, body: goodBid, header: bearer(s.expired()), status: 401},
		{name: "alg none", method: "POST", path: bids, body: goodBid, header: bearer(s.tokenOf(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType)), status: 401},
		{name: "foreign token", method: "POST", path: bids, body: goodBid, header: bearer(foreignToken(s.t)), status: 401},
		{name: "token of nobody", method: "POST", path: bids, body: goodBid, header: bearer(s.token(1000)), status: 401},
		{name: "cancel without token", method: "DELETE", path: bids + "/1", header: map[string]string{"Authorization": ""}, status: 401},

		{name: "unknown raffle", method: "POST", path: "/v1/raffles/99/bids", body: goodBid, status: 404},
		{name: "raffle by name", method: "POST", path: "/v1/raffles/one/bids", body: goodBid, status: 404},
		{name: "raffle 0", method: "POST", path: "/v1/raffles/0/bids", body: goodBid, status: 404},
		{name: "negative raffle", method: "POST", path: "/v1/raffles/-1/bids", body: goodBid, status: 404},
		{name: "raffle 01", method: "POST", path: "/v1/raffles/01/bids", body: goodBid, status: 404},
		{name: "raffle out of range", method: "POST", path: "/v1/raffles/9223372036854775808/bids", body: goodBid, status: 404},
		{name: "closed raffle", method: "POST", path: "/v1/raffles/2/bids", body: goodBid, status: 409},
		{name: "raffle not started", method: "POST", path: "/v1/raffles/3/bids", body: goodBid, status: 409},
		{name: "raffle past its end", method: "POST", path: "/v1/raffles/4/bids", body: goodBid, header: key("k"), status: 409},

		{name: "empty key", method: "POST", path: bids, body: goodBid, header: key(" "), status: 400},
		{name: "long key", method: "POST", path: bids, body: goodBid, header: key(strings.Repeat("k", 256)), status: 400},
		{name: "key with a tab", method: "POST", path: bids, body: goodBid, header: key("a\tb"), status: 400},
		{name: "key not ASCII", method: "POST", path: bids, body: goodBid, header: key("schlüssel"), status: 400},

		{name: "cancel unknown bid", method: "DELETE", path: bids + "/1234567", status: 404},
		{name: "cancel in unknown raffle", method: "DELETE", path: "/v1/raffles/99/bids/1", status: 404},
		{name: "cancel by name", method: "DELETE", path: bids + "/mine", status: 404},
		{name: "cancel out of range", method: "DELETE", path: bids + "/9223372036854775808", status: 404},

		{name: "wrong password", method: "POST", path: login, body: `{"login":"user1","password":"wrong"}`, status: 401},
		{name: "unknown login", method: "POST", path: login, body: `{"login":"nobody","password":"pyramid"}`, status: 401},
		{name: "long login", method: "POST", path: login, body: `{"login":"` + strings.Repeat("u", 65) + `","password":"pyramid"}`, status: 401},
		{name: "login with a zero", method: "POST", path: login, body: `{"login":"user1\u0000","password":"pyramid"}`, status: 401},
		{name: "empty login", method: "POST", path: login, body: `{"login":"","password":""}`, status: 422, fields: "login password"},
		{name: "login as number", method: "POST", path: login, body: `{"login":1,"password":"pyramid"}`, status: 400, fields: "login"},
		{name: "login unknown field", method: "POST", path: login, body: `{"login":"user1","password":"pyramid","otp":1}`, status: 400, fields: "otp"},
		{name: "login as form", method: "POST", path: login, body: `login=user1`, header: map[string]string{"Content-Type": "text/plain"}, status: 415},
		{name: "login too large", method: "POST", path: login, body: `{"login":"` + strings.Repeat("u", web.MaxBody) + `"}`, status: 413},

		{name: "unknown path", method: "GET", path: "/v2", status: 404},
		{name: "root", method: "GET", path: "/", status: 404},
		{name: "metrics are elsewhere", method: "GET", path: "/metrics", status: 404},
		{name: "GET of bids", method: "GET", path: bids, status: 405},
		{name: "PUT of a bid", method: "PUT", path: bids + "/1", body: goodBid, status: 405},
		{name: "GET of login", method: "GET", path: login, status: 405},
		{name: "POST of keys", method: "POST", path: "/.well-known/jwks.json", status: 405},
	}
}

var allow = map[string]string{"GET of bids": "POST", "PUT of a bid": "DELETE", "GET of login": "POST", "POST of keys": "GET, HEAD"}

func TestBadRequests(t *testing.T) {
	s := newService(t)
	good := s.token(1)
	for _, c := range badRequests(s) {
		h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + good}, "X-Request-Id": {"req-1"}}
		for name, value := range c.header {
			if h.Set(name, value); value == "" {
				h.Del(name)
			}
		}
		answer := s.do(c.method, c.path, c.body, h)
		if answer.StatusCode != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, answer.StatusCode, answer.body, c.status)
			continue
		}
		checkProblem(t, c, answer)
	}
	if n := fixture.Count(t, s.db, "SELECT count(*) FROM bids"); n != 0 {
		t.Errorf("%d bids were placed", n)
	}
}

func checkProblem(t *testing.T, c badRequest, answer response) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Instance *string
		Status                        int
		Errors                        []web.FieldError
	}
	if err := json.Unmarshal(answer.body, &p); err != nil {
		t.Errorf("%s: %s: %v", c.name, answer.body, err)
		return
	}
	if p.Type == nil || p.Title == nil || *p.Title != http.StatusText(c.status) || p.Detail == nil || *p.Detail == "" ||
		p.Status != c.status || p.Instance == nil || *p.Instance != c.path+"#req-1" {
		t.Errorf("%s: problem %s", c.name, answer.body)
	}
	var named []string
	for _, f := range p.Errors {
		named = append(named, f.Field)
	}
	if got := strings.Join(named, " "); got != c.fields {
		t.Errorf("%s: errors name %q, want %q", c.name, got, c.fields)
	}
	if got := answer.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%s: content type %q", c.name, got)
	}
	if got := answer.Header.Get("Allow"); got != allow[c.name] {
		t.Errorf("%s: Allow %q, want %q", c.name, got, allow[c.name])
	}
	if (answer.Header.Get("WWW-Authenticate") != "") != (c.status == http.StatusUnauthorized) {
		t.Errorf("%s: WWW-Authenticate %q", c.name, answer.Header.Get("WWW-Authenticate"))
	}
	if leak := internalText.Find(answer.body); leak != nil {
		t.Errorf("%s: %q in %s", c.name, leak, answer.body)
	}
}

// Nobody learns from the answer whether a login exists.
func TestUnknownLoginLooksLikeAWrongPassword(t *testing.T) {
	s := newService(t)
	login := func(body string) response {
		return s.do("POST", "/v1/login", body, http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"same"}})
	}
	known, unknown := login(`{"login":"user1","password":"wrong"}`), login(`{"login":"nobody","password":"wrong"}`)
	if string(known.body) != string(unknown.body) || known.StatusCode != unknown.StatusCode {
		t.Errorf("%s and %s", known.body, unknown.body)
	}
	for _, h := range []http.Header{known.Header, unknown.Header} {
		h.Del("Date")
	}
	if len(known.Header) != len(unknown.Header) {
		t.Errorf("headers %v and %v", known.Header, unknown.Header)
	}
}
