package autopipe

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// Equal requests that wait together are sent once, although their weight would fill the queue, and their callers leave one by
// one. A request that does not allow it is sent by itself.
func TestEqualLookupsAreSentOnce(t *testing.T) {
	c, _, _ := start(t, func(o *Options) {
		o.Budget, o.Light.Connections, o.Light.Waiting = time.Minute, 1, 6000
	})
	other := another(t, c)
	gate := blocked(c, 0)
	awaitBlocked(t, other)
	gone, leave := context.WithCancel(t.Context())
	ask := func(ctx context.Context, key string, shared bool) (int, error) {
		r := c.Request()
		defer r.Release()
		r.Rows(900)
		r.Add("INCR", key) // shows how often it was sent
		if shared {
			r.Share()
		}
		if _, err := r.Do(ctx); err != nil {
			return 0, err
		}
		return r.Replies.Int(), r.Replies.Err()
	}
	var wg sync.WaitGroup
	left := make(chan error, 1)
	go func() { _, err := ask(gone, "a", true); left <- err }()
	testenv.Eventually(t, patience, "the first waits", func() bool { return waits(c.light) == 1 })
	for i := range 150 {
		wg.Go(func() {
			if n, err := ask(t.Context(), []string{"a", "b"}[i%2], true); n != 1 || err != nil {
				t.Errorf("a shared lookup: %d, %v", n, err)
			}
		})
	}
	wg.Go(func() {
		if n, err := ask(t.Context(), "c", false); n != 1 || err != nil {
			t.Errorf("a lookup of its own: %d, %v", n, err)
		}
	})
	testenv.Eventually(t, patience, "all wait", func() bool {
		c.light.mu.Lock()
		defer c.light.mu.Unlock()
		n := len(c.light.waiting)
		for _, r := range c.light.waiting {
			n += len(r.twins)
		}
		return n == 152
	})
	leave()
	command(t, other, "LPUSH", "gate", "x")
	wg.Wait()
	if err := <-gate; err != nil {
		t.Errorf("the gate: %v", err)
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the first, which has left: %v", err)
	}
	c.light.mu.Lock()
	defer c.light.mu.Unlock()
	if c.light.weight != 0 || len(c.light.first) != 0 {
		t.Errorf("of an empty queue: weight %d, %d shared", c.light.weight, len(c.light.first))
	}
}
