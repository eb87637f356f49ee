package api

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

const (
	newProduct = `{"name":"Two","model":"P-2","color":"sand","category":"sneakers","image_url":"/p-2.png","release_price":1,"release_date":"2026-11-24"}`
	newRaffle  = `{"product_id":1,"ends_at":"2126-01-01T00:00:00Z"}`
	newUser    = `{"login":"mina","password":"Fahrradkette"}`
)

// keyed posts with a key, as a user if there is one.
func (s *service) keyed(path, key, body string, user int64) response {
	s.t.Helper()
	h := http.Header{"Content-Type": {"application/json"}, idempotencyKey: {key}}
	if user != 0 {
		h.Set("Authorization", "Bearer "+s.token(user))
	}
	return s.do("POST", path, body, h)
}

func (s *service) made() int64 {
	s.t.Helper()
	return fixture.Count(s.t, s.db, "SELECT (SELECT count(*) FROM raffles WHERE id > 4) + (SELECT count(*) FROM products WHERE id > 1) + (SELECT count(*) FROM users WHERE id > 10)")
}

// A repeated request gets the first answer, though what was made has changed since.
func TestKeysOfOtherRequests(t *testing.T) {
	s := newService(t)
	for _, c := range []struct{ path, body, again, other, change string }{
		{"/v1/raffles", newRaffle, `{"ends_at":"2126-01-01T09:00:00+09:00","product_id":1,"starts_at":null}`,
			`{"product_id":1,"ends_at":"2126-01-02T00:00:00Z"}`, "UPDATE raffles SET closed_at = now() WHERE id > 4"},
		{"/v1/products", newProduct, " " + newProduct, strings.Replace(newProduct, "Two", "2", 1), "UPDATE products SET name = 'x' WHERE id > 1"},
		{"/v1/users", newUser, `{"password":"Fahrradkette","login":"MINA"}`, `{"login":"mina","password":"another one"}`, "UPDATE users SET role = 'admin' WHERE id > 10"},
	} {
		admin := int64(fixture.Admin)
		if c.path == "/v1/users" {
			admin = 0
		}
		first := s.keyed(c.path, "k", c.body, admin)
		if first.StatusCode != http.StatusCreated || first.Header.Get(idempotencyReplayed) != "" {
			t.Fatalf("%s: %d %s", c.path, first.StatusCode, first.body)
		}
		s.db.Exec(t, c.change)
		made := s.made()
		for _, body := range []string{c.body, c.again} {
			again := s.keyed(c.path, "k", body, admin)
			if again.StatusCode != http.StatusCreated || string(again.body) != string(first.body) || again.Header.Get("Location") != first.Header.Get("Location") ||
				again.Header.Get(idempotencyReplayed) != "true" || (again.Header.Get(commitLSN) == "") != (first.Header.Get(commitLSN) == "") {
				t.Errorf("%s: %d %s %v, first %s", c.path, again.StatusCode, again.body, again.Header, first.body)
			}
		}
		s.keyed(c.path, "k", c.other, admin).holds(t, web.KeyReused)
		if n := s.made(); n != made {
			t.Errorf("%s: %d were made, then %d", c.path, made, n)
		}
	}
	s.keyed("/v1/users", "another key", newUser, 0).holds(t, web.LoginTaken)
	s.call("POST", "/v1/users", "", newUser).holds(t, web.LoginTaken)
	if n := fixture.Count(t, s.db, "SELECT count(*) FROM idempotency_keys"); n != 3 {
		t.Errorf("%d keys", n)
	}
}

// Keys are those of a user on a path. A refused request leaves its key free, and an old key is forgotten.
func TestScopesOfKeys(t *testing.T) {
	s := newService(t)
	s.db.Exec(t, "INSERT INTO idempotency_keys (scope, key, answer, created_at) SELECT 'old', n::text, '{}', now() - interval '8 days' FROM generate_series(1, 9) n")
	s.keyed("/v1/raffles", "k", `{"product_id":99,"ends_at":"2126-01-01T00:00:00Z"}`, fixture.Admin).holds(t, web.BadValue)
	s.keyed("/v1/raffles", "k", `{"product_id":1,"ends_at":"2020-01-01T00:00:00Z"}`, fixture.Admin).holds(t, web.BadValue)
	first := s.keyed("/v1/raffles", "k", newRaffle, fixture.Admin).raffle(t, http.StatusCreated)
	s.keyed("/v1/products", "k", newProduct, fixture.Admin).product(t, http.StatusCreated)
	s.db.Exec(t, "UPDATE idempotency_keys SET created_at = now() - interval '8 days' WHERE scope LIKE 'raffles%'")
	second := s.keyed("/v1/raffles", "k", newRaffle, fixture.Admin)
	if r := second.raffle(t, http.StatusCreated); r.ID == first.ID || second.Header.Get(idempotencyReplayed) != "" {
		t.Errorf("an old key: %s", second.body)
	}
	if n := fixture.Count(t, s.db, "SELECT count(*) FROM idempotency_keys WHERE scope = 'old'"); n != 0 {
		t.Errorf("%d old keys", n)
	}
}

// Requests at once with one key make one thing.
func TestOneOtherKeyInParallel_W2(t *testing.T) {
	s := newService(t)
	for _, c := range []struct {
		path, body string
		user       int64
	}{{"/v1/raffles", newRaffle, fixture.Admin}, {"/v1/products", newProduct, fixture.Admin}, {"/v1/users", newUser, 0}} {
		answers := make([]response, 4)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = s.keyed(c.path, "one key", c.body, c.user) })
		}
		wg.Wait()
		firsts := 0
		for _, a := range answers {
			if a.StatusCode != http.StatusCreated || string(a.body) != string(answers[0].body) {
				t.Errorf("%s: %d %s, the first was %s", c.path, a.StatusCode, a.body, answers[0].body)
			}
			if a.Header.Get(idempotencyReplayed) == "" {
				firsts++
			}
		}
		if firsts != 1 {
			t.Errorf("%s: %d answers say that they are the first", c.path, firsts)
		}
	}
	if n := s.made(); n != 3 {
		t.Errorf("%d were made", n)
	}
}

// Neither the password nor a fast hash of it is kept with the key.
func TestARegistrationsKeyKeepsNoPassword(t *testing.T) {
	s := newService(t)
	if first := s.keyed("/v1/users", "k", newUser, 0); first.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", first.StatusCode, first.body)
	}
	n := fixture.Count(t, s.db, "SELECT count(*) FROM idempotency_keys k WHERE request_hash IS NULL AND k.answer ?& '{id,login,role}' AND (SELECT count(*) FROM jsonb_object_keys(k.answer)) = 3 AND scope = 'users mina'")
	if n != 1 {
		t.Error("the key keeps more than id, login and role")
	}
	s.db.Exec(t, "UPDATE users SET id = 77 WHERE login = 'mina'")
	s.keyed("/v1/users", "k", newUser, 0).holds(t, web.LoginTaken)
}
