package e2e

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/client"
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
	for _, id := range s.readAll(t, openRaffle, client.BidFilter{Size: 270}, "primary", "") {
		known.bids[id] = 0
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	bidder := s.strict(t, "user1")
	for range bidWriters {
		writers.Go(func() { keepBidding(ctx, t, bidder, known) })
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
func keepBidding(ctx context.Context, t *testing.T, bidder *client.Session, known *committed) {
	tick := time.NewTicker(bidWriters * time.Second / bidsPerSecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		made, receipt, err := bidder.PlaceBid(t.Context(), openRaffle, client.NewBid{Size: 270, Price: 1000 * (1 + rand.Int64N(200))})
		if err != nil {
			t.Error(err)
			return
		}
		lsn, err := positionLSN(string(receipt.Position))
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
	of := client.BidFilter{Size: 270, Order: order, Limit: 20}
	for {
		page := s.pageFromAnywhere(t, of, from)
		if of.Cursor == "" {
			lsn, err := positionLSN(string(page.Position))
			if err != nil {
				t.Fatal(err)
			}
			must = known.upTo(lsn)
		}
		for _, b := range page.Items {
			if seen[b.ID]++; seen[b.ID] > 1 {
				t.Errorf("R4: %s: bid %d twice", order, b.ID)
			}
		}
		if of.Cursor = page.Next; of.Cursor == "" {
			break
		}
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
func (s *stack) pageFromAnywhere(t *testing.T, of client.BidFilter, from map[string]int) (page client.Page[client.Bid]) {
	t.Helper()
	api := s.api(t, client.WithAttempts(1))
	for range 50 {
		path := []string{"redis", "replica", "standby", "primary"}[rand.IntN(4)]
		page, err := api.Bids(t.Context(), openRaffle, of, client.Through(path))
		if err == nil {
			from[page.Path]++
			return page
		}
		if p, is := errors.AsType[*client.Problem](err); !is || p.Status != http.StatusServiceUnavailable {
			t.Fatal(err)
		}
	}
	t.Fatalf("no path answers %+v", of)
	return page
}
