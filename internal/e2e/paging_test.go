package e2e

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// committed holds the acknowledged bids of the writers, each with a position that covers it.
type committed struct {
	mu   sync.Mutex
	bids map[int64]lsn.LSN
}

func (c *committed) upTo(lsn lsn.LSN) (ids []int64) {
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
	walks         = 6 // in each order
)

// R4: while 1,000 bids a second arrive in one raffle and size, and every page comes from a path drawn at
// random, each bid that the first page's Read-LSN covers is seen exactly once, and every other bid at most
// once.
func TestPagingWhileBidsArriveAndPathsChange_R4(t *testing.T) {
	s := startStack(t)
	known := &committed{bids: map[int64]lsn.LSN{}}
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
	from := map[string]int{}
	for range walks {
		s.walk(t, "newest", known, from)
		s.walk(t, "highest", known, from)
	}
	rate := float64(len(known.upTo(1<<63))-before) / time.Since(begin).Seconds()
	stop()
	writers.Wait()
	t.Logf("%.0f bids/s arrived, %d in all; pages from %v", rate, len(known.bids), from)
	if len(from) < 4 {
		t.Errorf("R4: pages only from %v", from)
	}
}

// keepBidding bids until ctx ends.
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
		lsn, err := positionLSN(a.header.Get("Commit-LSN"))
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

// walk follows the pages of one order to the end and counts the pages by path.
func (s *stack) walk(t *testing.T, order string, known *committed, from map[string]int) {
	t.Helper()
	seen := map[int64]int{}
	var must []int64
	for cursor, page := "", 0; ; page++ {
		a := s.pageFromAnywhere(t, s.lookupURL(openRaffle, "size=270&limit=20&order="+order+cursor), from)
		if page == 0 {
			lsn, err := positionLSN(a.header.Get("Read-LSN"))
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
	if missing > 0 {
		t.Errorf("R4: %s: %d of %d bids missing", order, missing, len(must))
	}
}

// pageFromAnywhere draws paths at random until one has the page. A path that is behind says so.
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
