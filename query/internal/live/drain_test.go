package live

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// During a drain feeds and sessions end, not all at once and before the drain does. Polling clients hear of it.
func TestADrainEndsAllFeedsOneByOne(t *testing.T) {
	f := startFeed(t)
	const each = 15
	feeds, polls := make(chan time.Time, each), make(chan string, each)
	for range each {
		c := f.connect(t, 0, "")
		go func() {
			if _, err := io.Copy(io.Discard, c.lines); err != nil {
				t.Error(err)
			}
			feeds <- time.Now()
		}()
		p := f.poll(t)
		go func() { polls <- p.next(t) }()
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	f.hub.Drain(ctx)
	if ctx.Err() != nil {
		t.Error("the drain ended first")
	}
	var first, last time.Time
	for range each {
		at := <-feeds
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.After(last) {
			last = at
		}
		if got := <-polls; got != "1" {
			t.Errorf("a poll got %q", got)
		}
	}
	if last.Sub(first) < 50*time.Millisecond {
		t.Errorf("all feeds ended within %v", last.Sub(first))
	}
	testenv.Eventually(t, patience, "the sessions are gone", func() bool {
		f.sockets.mu.Lock()
		defer f.sockets.mu.Unlock()
		return len(f.sockets.sessions) == 0
	})
}
