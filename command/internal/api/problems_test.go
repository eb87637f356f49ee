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

func (s *service) goneAdmin() string {
	s.t.Helper()
	token, err := auth.NewSigner(s.keys, time.Hour, time.Now).Sign(900, auth.RoleAdmin)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func badRequests(s *service) []badRequest {
	const bids, login, users = "/v1/raffles/1/bids", "/v1/login", "/v1/users"
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	key := func(k string) map[string]string { return map[string]string{idempotencyKey: k} }
	body := func(name, body string, status int, fields string) badRequest {
		return badRequest{name: name, method: "POST", path: bids, body: body, status: status, fields: fields}
	}
	account := func(name, body string, status int, fields string) badRequest {
		return badRequest{name: "register: " + name, method: "POST", path: users, body: body, status: status, fields: fields}
	}
	admin := bearer(s.token(fixture.Admin))
	open := func(name, body string, status int, fields string) badRequest {
		return badRequest{name: "raffle: " + name, method: "POST", path: "/v1/raffles", body: body, status: status, fields: fields, header: admin}
	}
	const ends = `"ends_at":"2126-01-01T00:00:00Z"`
	return append(append(badAccounts(s, bearer), badAdmins(admin)...), []badRequest{
		account("nothing", `{}`, 422, "login password"), account("taken", `{"login":"user1","password":"12345678"}`, 409, ""),
		account("empty login", `{"login":"","password":"12345678"}`, 422, "login"),
		account("long login", `{"login":"`+strings.Repeat("ü", 65)+`","password":"12345678"}`, 422, "login"),
		account("zero", `{"login":"a\u0000","password":"12345678"}`, 422, "login"), account("tab", `{"login":"a\tb","password":"12345678"}`, 422, "login"),
		account("bidi control", `{"login":"a\u202eb","password":"12345678"}`, 422, "login"), account("space", `{"login":" a","password":"12345678"}`, 422, "login"),
		account("short password", `{"login":"new","password":"1234567"}`, 422, "password"),
		account("long password", `{"login":"new","password":"`+strings.Repeat("x", 129)+`"}`, 422, "password"),
		account("role", `{"login":"new","password":"12345678","role":"admin"}`, 400, "role"),
		account("upper case", `{"Login":"new","password":"12345678"}`, 400, "Login"),
		account("twice", `{"login":"new","login":"admin2","password":"12345678"}`, 400, "login"),
		account("number", `{"login":"new","password":12345678}`, 400, "password"), account("not JSON", `login=new`, 400, ""),
		{name: "register: form", method: "POST", path: users, body: `login=new`, header: map[string]string{"Content-Type": "text/plain"}, status: 415},
		{name: "register: large", method: "POST", path: users, body: `{"login":"` + strings.Repeat("u", web.MaxBody) + `"}`, status: 413},

		open("nothing", `{}`, 422, "product_id ends_at"), open("unknown product", `{"product_id":99,`+ends+`}`, 422, "product_id"),
		open("product 0", `{"product_id":0,`+ends+`}`, 422, "product_id"), open("product as text", `{"product_id":"1",`+ends+`}`, 400, "product_id"),
		open("product over bigint", `{"product_id":9223372036854775808,`+ends+`}`, 422, "product_id"),
		open("no end", `{"product_id":1}`, 422, "ends_at"), open("end null", `{"product_id":1,"ends_at":null}`, 422, "ends_at"),
		open("end past", `{"product_id":1,"ends_at":"2020-01-01T00:00:00Z"}`, 422, "ends_at"),
		open("end as number", `{"product_id":1,"ends_at":4102444800}`, 400, "ends_at"),
		open("end without zone", `{"product_id":1,"ends_at":"2126-01-01T00:00:00"}`, 422, "ends_at"),
		open("end in year 0", `{"product_id":1,"ends_at":"0000-01-01T00:00:00Z"}`, 422, "ends_at"),
		open("end in year 10000", `{"product_id":1,"ends_at":"9999-12-31T23:59:59-01:00"}`, 422, "ends_at"),
		open("31 February", `{"product_id":1,"ends_at":"2126-02-31T00:00:00Z"}`, 422, "ends_at"),
		open("start at the end", `{"product_id":1,"starts_at":"2126-01-01T00:00:00Z",`+ends+`}`, 422, "ends_at"),
		open("start a nanosecond before the end", `{"product_id":1,"starts_at":"2126-01-01T00:00:00Z","ends_at":"2126-01-01T00:00:00.000000001Z"}`, 422, "ends_at"),
		open("start a word", `{"product_id":1,"starts_at":"now",`+ends+`}`, 422, "starts_at"), open("start empty", `{"product_id":1,"starts_at":"",`+ends+`}`, 422, "starts_at"),
		open("seller", `{"product_id":1,"seller_id":2,`+ends+`}`, 400, "seller_id"), open("not JSON", `product_id=1`, 400, ""),
		open("large", `{"product_id":1,`+ends+strings.Repeat(" ", web.MaxBody)+`}`, 413, ""),
		{name: "raffle: form", method: "POST", path: "/v1/raffles", body: `x`, header: map[string]string{"Content-Type": "text/plain", "Authorization": admin["Authorization"]}, status: 415},
		{name: "raffle: bidder", method: "POST", path: "/v1/raffles", body: `{"product_id":1,` + ends + `}`, status: 403},
		{name: "raffle: no token", method: "POST", path: "/v1/raffles", body: `{"product_id":1,` + ends + `}`, header: map[string]string{"Authorization": ""}, status: 401},
		{name: "raffle: admin who is gone", method: "POST", path: "/v1/raffles", body: `{"product_id":1,` + ends + `}`, header: bearer(s.goneAdmin()), status: 401},
		{name: "close: bidder", method: "POST", path: "/v1/raffles/1/close", status: 403},
		{name: "close: no token", method: "POST", path: "/v1/raffles/1/close", header: map[string]string{"Authorization": ""}, status: 401},
		{name: "close: unknown", method: "POST", path: "/v1/raffles/99/close", header: admin, status: 404},
		{name: "close: by name", method: "POST", path: "/v1/raffles/one/close", header: admin, status: 404},
		{name: "close: not started", method: "POST", path: "/v1/raffles/3/close", header: admin, status: 409},
		{name: "GET of users", method: "GET", path: users, status: 405}, {name: "GET of close", method: "GET", path: "/v1/raffles/1/close", status: 405},

		body("size in upper case", `{"Size":270,"price":1000}`, 400, "Size"), body("price twice", `{"size":270,"price":1000,"price":1}`, 400, "price"),
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
		body("nothing", `{}`, 422, "size price"), body("null", `null`, 400, ""), body("a number", `1`, 400, ""),
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
	}...)
}

var allow = map[string]string{"GET of bids": "POST", "PUT of a bid": "DELETE", "GET of login": "POST", "GET of users": "POST", "GET of close": "POST", "POST of keys": "GET, HEAD",
	"POST of me": "GET, HEAD", "POST of password": "PUT", "GET of token": "POST",
	"PUT of a raffle": "PATCH", "DELETE of a product": "PATCH"}

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
	if n := fixture.Count(t, s.db, "SELECT (SELECT count(*) FROM bids) + (SELECT count(*) FROM users WHERE id > 10) + (SELECT count(*) FROM raffles WHERE id > 4) + (SELECT count(*) FROM products WHERE id > 1 OR name <> 'Pyramid One')"); n != 0 {
		t.Errorf("%d bids, users, raffles or products were made or changed", n)
	}
}

var kinds = func() map[string]web.Kind {
	all := make(map[string]web.Kind)
	for _, k := range web.Kinds {
		all[k.URI] = k
	}
	return all
}()

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
	if p.Type == nil || p.Title == nil || kinds[*p.Type].Title != *p.Title || kinds[*p.Type].Status != c.status || p.Detail == nil || *p.Detail == "" ||
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
	challenge := answer.Header.Get("WWW-Authenticate")
	wanted := map[int]string{http.StatusUnauthorized: "Bearer realm=", http.StatusForbidden: `error="insufficient_scope"`}[c.status]
	switch *p.Type {
	case web.WrongPassword.URI:
		wanted = ""
	case web.BadToken.URI:
		wanted = `error="invalid_token"`
	}
	if !strings.Contains(challenge, wanted) || (wanted == "") != (challenge == "") || strings.Contains(challenge, "error=") != strings.HasPrefix(wanted, "error=") {
		t.Errorf("%s: WWW-Authenticate %q", c.name, challenge)
	}
	if leak := internalText.Find(answer.body); leak != nil {
		t.Errorf("%s: %q in %s", c.name, leak, answer.body)
	}
}
