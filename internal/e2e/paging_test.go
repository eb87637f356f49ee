package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// committed is what the writers were told: each bid with a position that covers it.
type committed struct {
	mu   sync.Mutex
	bids map[int64]readmodel.LSN
}

func (c *committed) upTo(lsn readmodel.LSN) (ids []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, at := range c.bids {
		if at <= lsn {
			ids = append(ids, id)
		}
	}
	return ids
}

const (
	bidsPerSecond = 1000
	bidWriters    = 32
	walks         = 4 // in each order
)

// R4: while 1,000 bids a second arrive in one raffle and size, and every page comes from a path drawn at
// random, each bid that was committed by the first page's Read-LSN is seen exactly once, others at most once.
func TestPagingWhileBidsArriveAndPathsChange_R4(t *testing.T) {
	s := startStack(t)
	known := &committed{bids: map[int64]readmodel.LSN{}}
	for _, id := range s.readAll(t, openRaffle, "size=270", "primary", "0/0") {
		known.bids[id] = 0
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	authorization := s.login(t, "user1")
	for range bidWriters {
		writers.Go(func() { s.keepBidding(ctx, t, authorization, known) })
	}
	testenv.Eventually(t, 10*time.Second, "there are several pages", func() bool { return len(known.upTo(1<<63)) > 500 })
	begin, before := time.Now(), len(known.upTo(1<<63))
	for range walks {
		s.walk(t, "newest", known)
		s.walk(t, "highest", known)
	}
	rate := float64(len(known.upTo(1<<63))-before) / time.Since(begin).Seconds()
	stop()
	writers.Wait()
	t.Logf("%.0f bids/s arrived, %d in all", rate, len(known.bids))
}

// keepBidding is one of the writers.
func (s *stack) keepBidding(ctx context.Context, t *testing.T, authorization string, known *committed) {
	tick := time.NewTicker(bidWriters * time.Second / bidsPerSecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		bid := map[string]int{"size": 270, "price": 1000 * (1 + rand.IntN(200))}
		a, err := s.do("POST", s.bidsURL(openRaffle), bid, "Authorization", authorization)
		if err != nil || a.status != http.StatusCreated {
			t.Errorf("bid: %d %s %v", a.status, a.body, err)
			return
		}
		var made bidDocument
		lsn, err := readmodel.ParseLSN(a.header.Get("Commit-LSN"))
		if err := json.Unmarshal(a.body, &made); err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Error(err)
		}
		known.mu.Lock()
		known.bids[made.ID] = lsn
		known.mu.Unlock()
	}
}

// walk follows the pages of one order to the end.
func (s *stack) walk(t *testing.T, order string, known *committed) {
	t.Helper()
	seen, from := map[int64]int{}, map[string]int{}
	var must []int64
	for cursor, page := "", 0; ; page++ {
		a := s.pageFromAnywhere(t, s.lookupURL(openRaffle, "size=270&limit=50&order="+order+cursor), from)
		if page == 0 {
			lsn, err := readmodel.ParseLSN(a.header.Get("Read-LSN"))
			if err != nil {
				t.Fatal(err)
			}
			must = known.upTo(lsn)
		}
		var body struct {
			Bids       []bidDocument `json:"bids"`
			NextCursor *string       `json:"next_cursor"`
		}
		if err := json.Unmarshal(a.body, &body); err != nil {
			t.Fatal(err)
		}
		for _, b := range body.Bids {
			if seen[b.ID]++; seen[b.ID] > 1 {
				t.Errorf("R4: %s: bid %d twice", order, b.ID)
			}
		}
		if body.NextCursor == nil {
			break
		}
		cursor = "&cursor=" + *body.NextCursor
	}
	missing := 0
	for _, id := range must {
		if seen[id] == 0 {
			missing++
		}
	}
	if missing > 0 || len(from) < 4 {
		t.Errorf("R4: %s: %d of %d bids missing, pages from %v", order, missing, len(must), from)
	}
}

// pageFromAnywhere draws a path until one has the page: those that are behind say so.
func (s *stack) pageFromAnywhere(t *testing.T, url string, from map[string]int) answer {
	t.Helper()
	for range 50 {
		path := []string{"redis", "replica", "standby", "primary"}[rand.IntN(4)]
		a, err := s.do("GET", url, nil, "Read-Path", path)
		if err != nil {
			t.Fatal(err)
		}
		if a.status == http.StatusOK {
			from[a.header.Get("Read-Path")]++
			return a
		}
		if a.status != http.StatusServiceUnavailable {
			t.Fatalf("%s: %d %s", url, a.status, a.body)
		}
	}
	t.Fatalf("no path answers %s", url)
	return answer{}
}
