package drill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

const (
	feedPause = 300 * time.Millisecond // before a feed is opened again
	// feedSilence is more than the time between two heartbeats of a feed.
	feedSilence = 20 * time.Second
	// rereadLimit is more than the bids that a drill places on one raffle and size.
	rereadLimit = 500
)

// feed follows one raffle and comes back at its last id whenever it is cut off.
type feed struct {
	load   *load
	raffle int64

	mu      sync.Mutex
	log     feedLog
	last    string // the id to come back at
	started bool   // the feed has told where it begins
	opened  int
}

// run follows until ctx ends.
func (f *feed) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.follow(ctx); err != nil && ctx.Err() == nil {
			f.load.story.count("feed cut off", reason(err))
		}
		if sleep.For(ctx, feedPause) != nil {
			return
		}
	}
}

var errSilent = errors.New("no heartbeat came")

// follow opens the feed once and reads to its end.
func (f *feed) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(feedSilence, func() { cancel(errSilent) })
	defer silence.Stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v1/raffles/%d/live", f.load.door.Base(), f.raffle), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	f.mu.Lock()
	if f.last != "" {
		r.Header.Set("Last-Event-ID", f.last)
	}
	f.mu.Unlock()
	w, err := f.load.feeds.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", w.StatusCode)
	}
	err = readMessages(w.Body, func(m message) error {
		silence.Reset(feedSilence)
		return f.take(ctx, m)
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// take enters a message. Only after a reset has been followed by a new reading does its id count.
func (f *feed) take(ctx context.Context, m message) error {
	var data struct {
		Bid
		MinLSN string `json:"min_lsn"`
	}
	if m.data != "" {
		if err := json.Unmarshal([]byte(m.data), &data); err != nil {
			f.load.book.fault(fmt.Sprintf("the feed of raffle %d sent %.100q: %v", f.raffle, m.data, err))
			return nil
		}
	}
	var again []int64
	if m.name == "reset" {
		f.load.story.count("feed reset", "")
		var err error
		if again, err = f.load.reread(ctx, f.raffle, data.MinLSN); err != nil {
			return err
		}
	}
	if m.name == "bid" {
		f.load.book.show("feed", time.Now(), data.Bid)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch m.name {
	case "start":
		f.started = true
		f.opened++
	case "bid":
		f.log.bid(data.ID)
	case "reset":
		f.log.reset(again)
	}
	if m.id != "" {
		f.last = m.id
	}
	return nil
}

// isStarted says whether every later bid must come.
func (f *feed) isStarted() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.started
}

// state compares what came with the acknowledged bids of the raffle.
func (f *feed) state() (missing, repeated []int64, resets int) {
	acknowledged := f.load.book.of(f.raffle)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.missing(acknowledged), f.log.repeated(), f.log.resets()
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
