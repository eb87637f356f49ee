package levels

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/stock-pyramid/stock-pyramid/client"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/dataset"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/feed"
)

// subscriber follows the live feed of a drop's raffle.
type subscriber struct {
	drop *drop

	leave context.CancelFunc // ends the feed

	mu            sync.Mutex
	log           feed.Log
	started, over atomic.Bool
}

func (s *subscriber) run(ctx context.Context) {
	ctx, s.leave = context.WithCancel(ctx)
	defer s.leave()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	live := feed.Follower{Client: &http.Client{Transport: transport}, Take: s.take,
		URL: fmt.Sprintf("%s/v1/raffles/%d/live", s.drop.admin.Base(), s.drop.raffle)}
	live.Run(ctx)
}

// take enters a message. A reset counts only after it has been followed by a new reading.
func (s *subscriber) take(ctx context.Context, m feed.Message) error {
	var data struct {
		ID     int64  `json:"id"`
		MinLSN string `json:"min_lsn"`
	}
	if m.Data != "" {
		if err := json.Unmarshal([]byte(m.Data), &data); err != nil {
			return fmt.Errorf("the feed sent %.100q: %w", m.Data, err)
		}
	}
	var again []int64
	if m.Name == "reset" {
		var err error
		if again, err = s.drop.reread(ctx, client.Position(data.MinLSN)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch m.Name {
	case "start":
		s.started.Store(true)
	case "bid":
		s.log.Bid(data.ID)
	case "reset":
		s.log.Reset(again)
	case "close":
		s.over.Store(true)
		s.leave() // the feed ends with the close
	}
	return nil
}

func (s *subscriber) isStarted() bool { return s.started.Load() }

// isOver says whether the feed has told of the close. No bid comes after it.
func (s *subscriber) isOver() bool { return s.over.Load() }

// reread reads all bids of the raffle, at a position or later, until every page is answered.
func (d *drop) reread(ctx context.Context, at client.Position) (ids []int64, err error) {
	for n := range dataset.SizeCount {
		of := client.BidFilter{Size: dataset.SmallestSize + n*dataset.SizeStep, Limit: 2000}
		list, err := d.bids(ctx, of, at)
		for ; err != nil; list, err = d.bids(ctx, of, at) {
			if err := sleep.For(ctx, firstRetry); err != nil {
				return nil, err
			}
		}
		ids = append(ids, list...)
	}
	return ids, nil
}

// bids reads all bids of a size once.
func (d *drop) bids(ctx context.Context, of client.BidFilter, at client.Position) (ids []int64, err error) {
	for b, err := range d.admin.EachBid(ctx, d.raffle, of, client.AtLeast(at)) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, b.ID)
	}
	return ids, nil
}
