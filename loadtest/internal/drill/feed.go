package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/loadtest/internal/feed"
)

// rereadLimit is more than the bids that a drill places on one raffle and size.
const rereadLimit = 500

// feedPause is the pause before a reading that was not answered is tried again.
const feedPause = 300 * time.Millisecond

// follower follows one raffle.
type follower struct {
	load   *load
	raffle int64

	mu      sync.Mutex
	log     feed.Log
	started bool // the feed has told where it begins
	opened  int
}

// run follows until ctx ends.
func (f *follower) run(ctx context.Context) {
	live := feed.Follower{Client: f.load.feeds, URL: fmt.Sprintf("%s/v1/raffles/%d/live", f.load.door.Base(), f.raffle), Take: f.take,
		Cut: func(err error) { f.load.story.count("feed cut off", reason(err)) }}
	live.Run(ctx)
}

// take enters a message. A reset counts only after it has been followed by a new reading.
func (f *follower) take(ctx context.Context, m feed.Message) error {
	var data struct {
		Bid
		MinLSN string `json:"min_lsn"`
	}
	if m.Data != "" {
		if err := json.Unmarshal([]byte(m.Data), &data); err != nil {
			f.load.book.fault(fmt.Sprintf("the feed of raffle %d sent %.100q: %v", f.raffle, m.Data, err))
			return nil
		}
	}
	var again []int64
	if m.Name == "reset" {
		f.load.story.count("feed reset", "")
		var err error
		if again, err = f.load.reread(ctx, f.raffle, data.MinLSN); err != nil {
			return err
		}
	}
	if m.Name == "bid" {
		f.load.book.show("feed", time.Now(), data.Bid)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m.Name {
	case "start":
		f.started = true
		f.opened++
	case "bid":
		f.log.Bid(data.ID)
	case "reset":
		f.log.Reset(again)
	}
	return nil
}

// isStarted says whether every later bid must come.
func (f *follower) isStarted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.started
}

// state compares what came with the acknowledged bids of the raffle.
func (f *follower) state() (missing, repeated []int64, resets int) {
	acknowledged := f.load.book.of(f.raffle)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Missing(acknowledged), f.log.Repeated(), f.log.Resets()
}

// reread reads the newest bids of each size of a raffle, at a position or later, until every reading is answered.
func (l *load) reread(ctx context.Context, raffle int64, at string) (ids []int64, err error) {
	for _, size := range sizes {
		target := fmt.Sprintf("/v1/raffles/%d/bids?size=%d&limit=%d", raffle, size, rereadLimit)
		for {
			a, err := l.get(ctx, target, at)
			verdict, shown, _ := judgeRead(a, err, nil, rereadLimit)
			if verdict == readOK {
				l.book.show(path(a), time.Now(), shown...)
				for _, b := range shown {
					ids = append(ids, b.ID)
				}
				break
			}
			if verdict == readLost {
				at = "" // the position of a lost history
			}
			if err := sleep.For(ctx, feedPause); err != nil {
				return nil, err
			}
		}
	}
	return ids, nil
}
