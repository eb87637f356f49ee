package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// R2, R3, R5: a bid is read back with its Commit-LSN on every path, and every path gives the same bytes. So are changes of
// products and raffles.
func TestABidTravelsToEveryPath_R2_R3_R5(t *testing.T) {
	s := startStack(t)
	authorization := s.login(t, "user1")
	bid := map[string]int{"size": 270, "price": 250_000}
	a := s.must(t, http.StatusCreated, "POST", s.bidsURL(openRaffle), bid, "Authorization", authorization)
	lsn := a.header.Get("Commit-LSN")
	var want []byte
	for _, path := range []string{"redis", "replica", "standby", "primary"} {
		url := s.lookupURL(openRaffle, "size=270&order=newest&limit=2000")
		var got answer
		testenv.EventuallyNoError(t, 5*time.Second, "the bid arrives on "+path, func() (err error) {
			got, err = s.do("GET", url, nil, "Min-LSN", lsn, "Read-Path", path)
			if err == nil && got.status != http.StatusOK {
				err = fmt.Errorf("%d %s", got.status, got.body)
			}
			return err
		})
		if p := got.header.Get("Read-Path"); p != path {
			t.Errorf("forced %s, answered by %s", path, p)
		}
		if want == nil {
			want = got.body
		}
		if !bytes.Equal(got.body, want) {
			t.Errorf("%s answers\n%s\nnot\n%s", path, got.body, want)
		}
	}
	if !bytes.Contains(want, bytes.TrimSpace(a.body)) {
		t.Errorf("the bid %s is not in %s", a.body, want)
	}
	s.adminsChangesTravel(t)
}

// R6: while Redis stops and comes back, a read has the same body throughout, and in the end Redis answers it again.
func TestRedisGoesAndComesBack_R6(t *testing.T) {
	s := startStack(t)
	url := s.lookupURL(openRaffle, "size=270")
	var want []byte
	testenv.Eventually(t, 5*time.Second, "Redis answers", func() bool {
		a := s.must(t, http.StatusOK, "GET", url, nil)
		want = a.body
		return a.header.Get("Read-Path") == "redis"
	})
	testenv.Eventually(t, forkPatience, "the replica is known to follow the primary", func() bool {
		a, err := s.do("GET", url, nil, "Read-Path", "replica")
		return err == nil && a.status == http.StatusOK
	})
	s.redis.Stop(t)
	for range 200 {
		a := s.must(t, http.StatusOK, "GET", url, nil)
		if path := a.header.Get("Read-Path"); path != "replica" || !bytes.Equal(a.body, want) {
			t.Fatalf("without Redis: %s from %s, want %s from replica", a.body, path, want)
		}
	}
	s.redis.Start(t)
	testenv.Eventually(t, 15*time.Second, "Redis answers again", func() bool {
		a := s.must(t, http.StatusOK, "GET", url, nil)
		if !bytes.Equal(a.body, want) {
			t.Fatalf("on the way back: %s, want %s", a.body, want)
		}
		return a.header.Get("Read-Path") == "redis"
	})
}

// readAll returns the ids of all bids of one (raffle, size), in their order, from a forced path.
func (s *stack) readAll(t *testing.T, raffle int64, of client.BidFilter, path string, at client.Position) (ids []int64) {
	t.Helper()
	of.Limit = 2000
	for b, err := range s.api(t, client.WithAttempts(1)).EachBid(t.Context(), raffle, of, client.Through(path), client.AtLeast(at)) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, b.ID)
	}
	return ids
}
