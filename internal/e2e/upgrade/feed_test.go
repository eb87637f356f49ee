package upgrade

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// feed follows a raffle at one side after the other, each time from the last id that it has.
type feed struct {
	stack *stack

	mu             sync.Mutex
	last           string
	bids, cancels  map[int64]int
	resets, starts int
	err            error
}

const feedTime = 20 * time.Second

func (s *stack) newFeed() *feed {
	return &feed{stack: s, bids: map[int64]int{}, cancels: map[int64]int{}}
}

// follow opens the feed at a side, calls meanwhile, and waits until the feed has each of the events that it returns once.
func (f *feed) follow(t *testing.T, at *side, meanwhile func() (bids, cancels map[int64]bool)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	begun := f.begun()
	go func() {
		defer close(done)
		if err := f.read(ctx, at); err != nil && ctx.Err() == nil {
			f.mu.Lock()
			f.err = err
			f.mu.Unlock()
		}
	}()
	defer func() { cancel(); <-done }()
	testenv.EventuallyNoError(t, feedTime, "the feed begins at "+at.name, func() error {
		if f.begun() == begun {
			return fmt.Errorf("it has not")
		}
		return nil
	})
	bids, cancels := meanwhile()
	testenv.EventuallyNoError(t, feedTime, "the feed of "+at.name+" has every event", func() error { return f.complete(bids, cancels) })
}

func (f *feed) begun() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.starts
}

// complete says what is missing, repeated or wrong.
func (f *feed) complete(bids, cancels map[int64]bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil || f.resets > 0 {
		return fmt.Errorf("%d resets, %w", f.resets, f.err)
	}
	for _, c := range []struct {
		want map[int64]bool
		got  map[int64]int
	}{{bids, f.bids}, {cancels, f.cancels}} {
		for id := range c.want {
			if c.got[id] != 1 {
				return fmt.Errorf("bid %d came %d times", id, c.got[id])
			}
		}
	}
	return nil
}

func (f *feed) read(ctx context.Context, at *side) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/v1/raffles/%d/live", at.queryURL, openRaffle), nil)
	if err != nil {
		return err
	}
	f.mu.Lock()
	from := f.last
	f.mu.Unlock()
	if from != "" {
		r.Header.Set("Last-Event-ID", from)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return fmt.Errorf("the feed answers %s", w.Status)
	}
	if from != "" { // a feed that goes on misses nothing
		_ = f.take("start", "", "") // has no data that could be wrong
	}
	var name, id, data string
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		field, value, _ := strings.Cut(lines.Text(), ":")
		switch value = strings.TrimPrefix(value, " "); field {
		case "event":
			name = value
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if err := f.take(name, id, data); err != nil {
				return err
			}
			name, id, data = "", "", ""
		}
	}
	return fmt.Errorf("the feed of %s ended", at.name)
}

func (f *feed) take(name, id, data string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if id != "" {
		f.last = id
	}
	var bid struct {
		ID int64 `json:"id"`
	}
	switch name {
	case "start":
		f.starts++
	case "reset":
		f.resets++
	case "bid", "cancel":
		if err := json.Unmarshal([]byte(data), &bid); err != nil {
			return fmt.Errorf("%s: %w", data, err)
		}
		if name == "bid" {
			f.bids[bid.ID]++
		} else {
			f.cancels[bid.ID]++
		}
	}
	return nil
}
