package api

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/stock-pyramid/stock-pyramid/command/internal/fixture"
	"github.com/stock-pyramid/stock-pyramid/internal/auth"
)

// foreignToken is well-formed and signed by somebody else's key.
func foreignToken(t testing.TB) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return (&service{t: t}).tokenOf(jwt.SigningMethodEdDSA, key)
}

func TestLoginBidCancel(t *testing.T) {
	s := newService(t)
	answer := s.do("POST", "/v1/login", `{"login":"user3","password":"pyramid"}`, http.Header{"Content-Type": {"application/json; charset=utf-8"}})
	var token tokenDocument
	if err := json.Unmarshal(answer.body, &token); err != nil || answer.StatusCode != http.StatusOK || token.ExpiresIn != 3600 || token.TokenType != "Bearer" {
		t.Fatalf("login: %d %s %v", answer.StatusCode, answer.body, err)
	}
	before := time.Now().Add(-time.Second).UTC().Format(timeFormat)
	placed := s.post("1", token.AccessToken, "", `{"size":270,"price":189000,"quantity":2}`)
	got := placed.bid(t)
	want := bidDocument{ID: got.ID, RaffleID: 1, UserID: 3, Size: 270, Price: 189000, Quantity: 2, CreatedAt: got.CreatedAt}
	if got != want || got.ID == 0 || got.CreatedAt < before {
		t.Errorf("got %+v, want %+v", got, want)
	}
	path := fmt.Sprintf("/v1/raffles/1/bids/%d", got.ID)
	if placed.Header.Get("Location") != path || placed.Header.Get(idempotencyReplayed) != "" {
		t.Errorf("headers %v", placed.Header)
	}
	// When the 201 arrives, every other session sees the row, and its commit is at or before the position.
	n := fixture.Count(t, s.db, "SELECT count(*) FROM bids WHERE id = $1 AND pg_current_wal_flush_lsn() >= substr($2, 3)::pg_lsn AND $2 LIKE '1-%'", got.ID, placed.Header.Get(commitLSN))
	if n != 1 {
		t.Error("W1: the bid is not committed and flushed")
	}
	asUser := func(user int64) http.Header { return http.Header{"Authorization": {"bearer " + s.token(user)}} }
	for _, c := range []struct {
		user   int64
		status int
	}{{2, http.StatusForbidden}, {3, http.StatusNoContent}, {3, http.StatusNoContent}, {2, http.StatusForbidden}} {
		cancelled := s.do("DELETE", path, "", asUser(c.user))
		if cancelled.StatusCode != c.status || (c.status == http.StatusNoContent) != (cancelled.Header.Get(commitLSN) != "") {
			t.Errorf("cancel by user %d: %d %s", c.user, cancelled.StatusCode, cancelled.body)
		}
	}
	kept := s.post("1", token.AccessToken, "", goodBid).bid(t)
	s.db.Exec(t, "UPDATE raffles SET closed_at = now() WHERE id = 1")
	if late := s.do("DELETE", fmt.Sprintf("/v1/raffles/1/bids/%d", kept.ID), "", asUser(3)); late.StatusCode != http.StatusConflict {
		t.Errorf("cancel after the close: %d", late.StatusCode)
	}
	if again := s.do("DELETE", path, "", asUser(3)); again.StatusCode != http.StatusNoContent {
		t.Errorf("cancel again after the close: %d", again.StatusCode)
	}
}

func TestTimesHaveSixDecimals(t *testing.T) {
	for at, want := range map[time.Time]string{
		time.Date(2026, 11, 24, 1, 2, 3, 0, time.UTC):                             "2026-11-24T01:02:03.000000Z",
		time.Date(2026, 11, 24, 10, 2, 3, 120_000, time.FixedZone("KST", 9*3600)): "2026-11-24T01:02:03.000120Z",
	} {
		if got := at.UTC().Format(timeFormat); got != want {
			t.Errorf("%v: got %s, want %s", at, got, want)
		}
	}
}

// W2: fifty requests at once with one key are one bid and one answer.
func TestOneKeyInParallel_W2(t *testing.T) {
	s := newService(t)
	token := s.token(1)
	const parallel = 50
	answers := make([]response, parallel)
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() { answers[i] = s.post("1", token, "one key", goodBid) })
	}
	wg.Wait()
	first := 0
	for _, a := range answers {
		if a.StatusCode != http.StatusCreated || string(a.body) != string(answers[0].body) ||
			a.Header.Get("Location") != answers[0].Header.Get("Location") || a.Header.Get(commitLSN) == "" {
			t.Errorf("%d %s, the first was %s", a.StatusCode, a.body, answers[0].body)
		}
		switch replayed := a.Header.Values(idempotencyReplayed); {
		case len(replayed) == 0:
			first++
		case len(replayed) != 1 || replayed[0] != "true":
			t.Errorf("replayed: %v", replayed)
		}
	}
	if first != 1 {
		t.Errorf("%d answers say that they are the first", first)
	}
	if n := fixture.Count(t, s.db, "SELECT count(*) FROM bids"); n != 1 {
		t.Errorf("%d rows", n)
	}
}

// W2: a remembered 201 comes again after a cancellation and after the close, and places nothing.
func TestReplay_W2(t *testing.T) {
	s := newService(t)
	token := s.token(1)
	first := s.post("1", token, "k", `{"size":270,"price":1000}`)
	b := first.bid(t)
	replay := func(when, body string) {
		t.Helper()
		again := s.post("1", token, "k", body)
		if again.StatusCode != http.StatusCreated || string(again.body) != string(first.body) ||
			again.Header.Get("Location") != first.Header.Get("Location") || again.Header.Get(idempotencyReplayed) != "true" {
			t.Errorf("%s: %d %s %v, want %s", when, again.StatusCode, again.body, again.Header, first.body)
		}
		if other := s.post("1", token, "k", `{"size":270,"price":1001}`); other.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s, other body: %d %s", when, other.StatusCode, other.body)
		}
	}
	replay("at once", "{ \"quantity\":1,\n\"price\":1000, \"size\":270 }") // the same values, written otherwise
	cancelled := s.do("DELETE", fmt.Sprintf("/v1/raffles/1/bids/%d", b.ID), "", http.Header{"Authorization": {"Bearer " + token}})
	if cancelled.StatusCode != http.StatusNoContent {
		t.Fatalf("cancel: %d", cancelled.StatusCode)
	}
	replay("cancelled", goodBid)
	s.db.Exec(t, "UPDATE raffles SET closed_at = now() WHERE id = 1")
	replay("closed", goodBid)
	if n := fixture.Count(t, s.db, "SELECT count(*) FROM bids"); n != 0 {
		t.Errorf("%d rows after the cancellation", n)
	}
	// Another user's key and a refused bid's key are free.
	if other := s.post("2", token, "k", goodBid); other.StatusCode != http.StatusConflict {
		t.Errorf("closed raffle: %d", other.StatusCode)
	}
	s.db.Exec(t, "UPDATE raffles SET closed_at = NULL, closing_price = NULL WHERE id IN (1, 2)")
	for _, again := range []response{s.post("2", token, "k", goodBid), s.post("1", s.token(2), "k", goodBid)} {
		if again.StatusCode != http.StatusCreated || again.Header.Get(idempotencyReplayed) != "" {
			t.Errorf("free key: %d %v", again.StatusCode, again.Header)
		}
	}
}

func TestTwoKeysInARequest(t *testing.T) {
	s := newService(t)
	h := http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.token(1)}, idempotencyKey: {"a", "b"}}
	if answer := s.do("POST", "/v1/raffles/1/bids", goodBid, h); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("%d %s", answer.StatusCode, answer.body)
	}
	h = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + s.token(1), "Bearer " + s.token(2)}}
	if answer := s.do("POST", "/v1/raffles/1/bids", goodBid, h); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("two tokens: %d %s", answer.StatusCode, answer.body)
	}
}

func TestPublishedDocuments(t *testing.T) {
	s := newService(t)
	keys := s.do("GET", "/.well-known/jwks.json", "", nil)
	if published, err := auth.ParseJWKS(keys.body); err != nil || len(published) != 1 {
		t.Errorf("keys %s, %v", keys.body, err)
	}
	document := s.do("GET", "/openapi/command.yaml", "", nil)
	if string(document.body) != string(s.api.OpenAPI) || !strings.HasPrefix(string(document.body), "openapi: 3.1") {
		t.Errorf("document: %d, %d bytes", document.StatusCode, len(document.body))
	}
}

// W4: a rush of logins is shed at once instead of queueing without end.
func TestLoginsAreShed_W4(t *testing.T) {
	s := newService(t)
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			answer := s.do("POST", "/v1/login", `{"login":"user1","password":"pyramid"}`, http.Header{"Content-Type": {"application/json"}})
			mu.Lock()
			defer mu.Unlock()
			statuses[answer.StatusCode]++
		})
	}
	wg.Wait()
	if statuses[200] == 0 || statuses[503] == 0 || statuses[200]+statuses[503] != 300 {
		t.Errorf("statuses %v", statuses)
	}
}
