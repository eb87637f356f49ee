package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// serveWithTokens runs the service anew, with a key of its own, and returns what signs tokens.
func (s *stack) serveWithTokens(t *testing.T) func(user int64, ttl time.Duration) string {
	t.Helper()
	keys, err := auth.OpenFolder(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	published := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.Copy(w, bytes.NewReader(keys.JWKS())); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(published.Close)
	c := s.config()
	c.JWKSURL = published.URL
	s.url = s.serve(t, c)
	return func(user int64, ttl time.Duration) string {
		token, err := auth.NewSigner(keys, ttl, time.Now).Sign(user, auth.RoleBidder)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
}

func TestOneBidAndMyBids(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	sign := s.serveWithTokens(t)
	testenv.Eventually(t, patience, "the replica answers", func() bool { return s.get(t, "/v1/raffles/1/bids/10002").path() == "replica" })
	one := s.expect(t, http.StatusOK, "replica", "/v1/raffles/1/bids/10002")
	if listed := s.get(t, "/v1/raffles/1/bids?size=260").body; !strings.Contains(listed, strings.TrimSuffix(one.body, "\n")) {
		t.Errorf("%s is not in %s", one.body, listed)
	}
	s.expect(t, http.StatusServiceUnavailable, "", "/v1/raffles/1/bids/10002", "Read-Path", "redis")

	want := collect(t, s, "SELECT id FROM bids WHERE user_id = 3 ORDER BY created_at DESC, id DESC", scanID)
	var got []int64
	for page, next := 0, ""; ; page++ {
		path := []string{"replica", "standby", "primary"}[page%3]
		a := s.expect(t, http.StatusOK, path, "/v1/me/bids?limit=20"+next, "Read-Path", path, "Authorization", sign(3, time.Hour))
		if a.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%v", a.header)
		}
		p := decode[bidPage](t, a)
		for _, b := range p.Bids {
			got = append(got, b.ID)
		}
		if p.NextCursor == nil {
			break
		}
		next = "&cursor=" + *p.NextCursor
		if a := s.get(t, "/v1/me/bids?limit=20"+next, "Authorization", sign(4, time.Hour)); a.status != http.StatusBadRequest {
			t.Errorf("another user's cursor: %d", a.status)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("my bids: %d, want %d", len(got), len(want))
	}
	for _, token := range []string{"", "Bearer", "Bearer x", "Basic eDp5", sign(3, -time.Hour), sign(3, time.Hour) + "x"} {
		a := s.get(t, "/v1/me/bids", "Authorization", token)
		if a.status != http.StatusUnauthorized || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("token %q: %d", token, a.status)
		}
	}
}

// The standing of a bid is how it compares with the others of its raffle and size, in the snapshot of the answer.
func TestMyBidsAndTheirStanding_R5(t *testing.T) {
	t.Parallel()
	s := startStack(t)
	sign := s.serveWithTokens(t)
	s.exec(t, `INSERT INTO bids (raffle_id, id, user_id, size, price, created_at) VALUES
		(4, 10021, 49, 260, 7, now()), (4, 10022, 50, 260, 7, now()), (4, 10023, 50, 265, 1, now()), (4, 10024, 50, 265, 2, now() + interval '1 microsecond'),
		(3, 10025, 50, 260, 9, now()), (3, 10026, 49, 260, 9, now() + interval '1 microsecond'), (3, 10027, 50, 260, 8, now())`)
	s.standby.WaitReplay(t)
	holds := func(user int64, query string, want map[int64]string) {
		t.Helper()
		bodies := map[string]bool{}
		for _, path := range allPaths[1:] {
			a := s.expect(t, http.StatusOK, path, "/v1/me/bids"+query, "Read-Path", path, "Authorization", sign(user, time.Hour))
			bodies[cursorPart.ReplaceAllString(a.body, "")] = true
			for _, b := range decode[struct {
				Bids []struct {
					ID       int64  `json:"id"`
					Standing string `json:"standing"`
				} `json:"bids"`
			}](t, a).Bids {
				if is, ours := want[b.ID]; (ours || query != "") && is != b.Standing {
					t.Errorf("bid %d of user %d%s on %s: %s, want %q", b.ID, user, query, path, b.Standing, is)
				}
			}
		}
		if len(bodies) != 1 {
			t.Errorf("R5: %d bodies of user %d%s", len(bodies), user, query)
		}
	}
	in4 := map[int64]string{10022: "outbid", 10023: "outbid", 10024: "leading"}
	in3 := map[int64]string{10025: "won", 10027: "lost"}
	holds(50, "?raffle=4", in4)
	holds(50, "?raffle=3", in3)
	holds(50, "?raffle=2", nil)
	holds(49, "?raffle=4", map[int64]string{10021: "leading"})
	holds(49, "?raffle=3", map[int64]string{10026: "lost"})
	holds(50, "", map[int64]string{10022: "outbid", 10024: "leading", 10025: "won", 10027: "lost"})
	s.exec(t, "DELETE FROM bids WHERE id = 10021")
	s.exec(t, "UPDATE raffles SET closed_at = now() WHERE id = 4")
	s.standby.WaitReplay(t)
	holds(50, "?raffle=4", map[int64]string{10022: "won", 10023: "lost", 10024: "won"})

	ask := func(path string) answer { return s.get(t, path, "Authorization", sign(50, time.Hour)) }
	p := decode[bidPage](t, ask("/v1/me/bids?raffle=4&limit=1"))
	ask("/v1/me/bids?raffle=4&limit=1").linksTo(t, "/v1/me/bids?raffle=4&limit=1&cursor="+*p.NextCursor)
	for path, c := range map[string]struct {
		status int
		field  string
	}{
		"?raffle=": {400, "raffle"}, "?raffle=x": {400, "raffle"}, "?raffle=0": {422, "raffle"}, "?raffle=9223372036854775808": {422, "raffle"}, "?size=270": {400, "size"},
		"?raffle=3&cursor=" + *p.NextCursor: {400, "cursor"}, "?cursor=" + *p.NextCursor: {400, "cursor"},
	} {
		checkProblem(t, path, ask("/v1/me/bids"+path), c.status, c.field)
	}
}
