package autopipe

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// blocked sends a request that keeps its connection busy until a value is pushed to gate.
func blocked(c *Client[string], rows int) (ended chan error) {
	ended = make(chan error, 1)
	go func() {
		r := c.Request()
		defer r.Release()
		r.Rows(rows)
		r.Add("BLPOP", "gate", "0")
		_, err := r.Do(context.Background())
		ended <- err
	}()
	return ended
}

// another makes a client with the same options but with connections of its own.
func another(t *testing.T, c *Client[string]) *Client[string] {
	t.Helper()
	o := c.o
	o.Ended, o.Budget = nil, time.Minute
	other := New(o, c.validate)
	t.Cleanup(other.Close)
	return other
}

// awaitBlocked waits until Redis has a request that is blocked.
func awaitBlocked(t *testing.T, c *Client[string]) {
	t.Helper()
	testenv.Eventually(t, patience, "it is blocked", func() bool {
		r := c.Request()
		defer r.Release()
		r.Add("INFO", "clients")
		if _, err := r.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(r.Replies.Bytes()), "blocked_clients:1\r")
	})
}

func waits(l *queue[string]) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting)
}

// W7: a heavy request delays no light one, and a full queue of heavy requests does not refuse light ones.
func TestHeavyLookupsHaveAQueueOfTheirOwn_W7(t *testing.T) {
	c, _, _ := start(t, func(o *Options) {
		o.Budget = time.Minute
		o.Light.Connections, o.Heavy.Waiting = 1, 3000
	})
	first := blocked(c, 1500)
	awaitBlocked(t, c)
	for range 10 { // while the heavy request is blocked
		if _, got, err := echo(c, "x"); got != "x" || err != nil {
			t.Errorf("W7: beside a heavy lookup: %q, %v", got, err)
		}
	}
	var ended []chan error
	for range 2 {
		ended = append(ended, blocked(c, 1200))
	}
	testenv.Eventually(t, patience, "two wait", func() bool { return waits(c.heavy) == 2 })
	if err := <-blocked(c, 1200); !errors.Is(err, ErrFull) {
		t.Errorf("W4: beyond the weight that may wait: %v", err)
	}
	if _, got, err := echo(c, "x"); got != "x" || err != nil {
		t.Errorf("W7: beside a full queue of heavy lookups: %q, %v", got, err)
	}
	command(t, c, "LPUSH", "gate", "x", "x", "x")
	for _, e := range append(ended, first) {
		if err := <-e; err != nil {
			t.Error(err)
		}
	}
}

// W7: a pipeline carries requests up to its weight, whatever the weight is made of, or one heavier request.
func TestPipelinesAreBoundedByWeight_W7(t *testing.T) {
	const pipeline = 1000
	for name, c := range map[string]struct {
		write func(*Request[string])
		want  int
	}{
		"rows":     {func(r *Request[string]) { r.Rows(300); r.Add("PING") }, 3},
		"commands": {func(r *Request[string]) { many(r, 24) }, 3},
		"bytes":    {func(r *Request[string]) { r.Add("ECHO", string(make([]byte, 3900))) }, 3},
		"too much": {func(r *Request[string]) { r.Rows(2 * pipeline); r.Add("PING") }, 1},
		"little":   {func(r *Request[string]) { r.Add("PING") }, 10},
	} {
		l := newQueue[string](Limits{Pipeline: pipeline, Waiting: 1 << 20})
		for range 10 {
			r := &Request[string]{}
			c.write(r)
			r.weight = r.Weight()
			if err := l.add(r); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(l.next(nil)); got != c.want {
			t.Errorf("%s: %d in a pipeline, want %d", name, got, c.want)
		}
	}
}

func many(r *Request[string], n int) {
	for range n {
		r.Add("GET", "x")
	}
}

// R8, W4: a request that has waited for half of its budget is not sent, and neither is one whose caller has left.
func TestWaitingIsWithinTheBudget_R8(t *testing.T) {
	c, _, _ := start(t, func(o *Options) { o.Budget, o.Light.Connections = 300*time.Millisecond, 1 })
	gate := blocked(c, 0) // until its budget is over
	awaitBlocked(t, another(t, c))
	gone, leave := context.WithCancel(t.Context())
	var expired, left atomic.Int32
	var wg sync.WaitGroup
	for i := range 40 {
		ctx := context.Background()
		if i%2 == 1 {
			ctx = gone
		}
		wg.Go(func() {
			r := c.Request()
			defer r.Release()
			r.Add("INCR", "sent")
			begin := time.Now()
			switch _, err := r.Do(ctx); {
			case errors.Is(err, ErrUnanswered): // the gate was the pipeline before
				expired.Add(1)
			case errors.Is(err, context.Canceled):
				left.Add(1)
			default:
				t.Errorf("R8: %v after %v", err, time.Since(begin))
			}
		})
	}
	testenv.Eventually(t, patience, "they wait", func() bool { return waits(c.light) > 30 })
	leave()
	wg.Wait()
	if err := <-gate; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one before: %v", err)
	}
	r := another(t, c).Request()
	defer r.Release()
	r.Add("EXISTS", "sent")
	if _, err := r.Do(t.Context()); err != nil || r.Replies.Int() != 0 || expired.Load() == 0 || left.Load() == 0 {
		t.Errorf("R8: %d expired, %d left, but some were sent, %v", expired.Load(), left.Load(), err)
	}
}

// R6: if this process was held up while Redis is quick, a waiting request is sent although its budget is over. A pipeline that
// took long shows that Redis is slow if it was begun after the end of another one.
func TestAStallOfTheProcessShedsNothing_R6(t *testing.T) {
	type pipeline struct {
		begun, ended time.Duration
		err          error
	}
	broken := errors.New("broken")
	for _, one := range []struct {
		name      string
		pipelines []pipeline
		most      time.Duration // that a request may have waited
		late      error
	}{
		{"none yet", nil, 5 * time.Hour, ErrExpired},
		{"quick", []pipeline{{0, time.Minute, nil}}, 5 * time.Hour, ErrExpired},
		{"one took long", []pipeline{{0, 40 * time.Minute, nil}}, 5 * time.Hour, ErrExpired},
		{"two at once took long", []pipeline{{0, 40 * time.Minute, nil}, {time.Minute, 41 * time.Minute, nil}}, 5 * time.Hour, ErrExpired},
		{"two in turn took long", []pipeline{{0, 40 * time.Minute, nil}, {41 * time.Minute, 75 * time.Minute, nil}}, time.Hour / 2, ErrExpired},
		{"then one was quick", []pipeline{{0, 40 * time.Minute, nil}, {41 * time.Minute, 75 * time.Minute, nil}, {76 * time.Minute, 77 * time.Minute, nil}}, 5 * time.Hour, ErrExpired},
		{"failed", []pipeline{{0, time.Minute, broken}}, time.Hour / 2, ErrUnanswered},
	} {
		c := &Client[string]{o: Options{Budget: time.Hour, HeldUp: 5 * time.Hour}}
		l := newQueue[string](Limits{})
		day := time.Now()
		for _, p := range one.pipelines {
			l.note(p.err, day.Add(p.begun), day.Add(p.ended), c.o.Budget/2)
		}
		for _, over := range []bool{false, true} {
			waited, want := one.most-time.Minute, error(nil)
			if over {
				waited, want = one.most+time.Minute, one.late
			}
			r := &Request[string]{ctx: t.Context(), entered: time.Now().Add(-waited), done: make(chan struct{}, 1)}
			if got := len(c.dropExpired(l, []*Request[string]{r})); got == 1 != (want == nil) || !errors.Is(r.failure, want) {
				t.Errorf("R6: %s: waited %v: %d sent, %v", one.name, waited, got, r.failure)
			}
		}
	}
}

// R6: a pipeline that fails counts as one failure, and the requests that wait behind it are sent.
func TestAFailedPipelineIsOneFailure_R6(t *testing.T) {
	var failed, worked atomic.Int32
	c, _, proxy := start(t, func(o *Options) {
		o.Budget, o.Light.Connections = time.Minute, 1
		o.Ended = func(err error) {
			if err != nil {
				failed.Add(1)
			} else {
				worked.Add(1)
			}
		}
	})
	other := another(t, c)
	for i := range 3 {
		gate := blocked(c, 0)
		awaitBlocked(t, other)
		var wg sync.WaitGroup
		errs := make(chan error, 100)
		for n := range 100 {
			wg.Go(func() {
				text := "harmless"
				if n < 10 && i == 0 {
					text = "needle"
				}
				_, _, err := echo(c, text)
				errs <- err
			})
		}
		testenv.Eventually(t, patience, "all wait", func() bool { return waits(c.light) == 100 })
		if i == 0 {
			proxy.CutBeforeAnswer([]byte("needle"), 2) // twice, because the pipeline is sent again on a new connection
		}
		command(t, other, "LPUSH", "gate", "x")
		wg.Wait()
		if err := <-gate; err != nil {
			t.Errorf("the gate: %v", err)
		}
		close(errs)
		bad := 0
		for err := range errs {
			if err != nil {
				bad++
			}
		}
		if i == 0 && (bad == 0 || bad > 40) || i > 0 && bad > 0 {
			t.Errorf("R6: %d of 100 failed", bad)
		}
	}
	if failed.Load() != 1 || worked.Load() == 0 {
		t.Errorf("R6: %d failures for one pipeline", failed.Load())
	}
}

// A large lookup leaves no large buffers behind.
func TestBuffersShrink(t *testing.T) {
	c, _, _ := start(t, func(o *Options) { o.Budget = time.Minute })
	command(t, c, "SET", "large", string(make([]byte, 4<<20)))
	r := c.Request()
	r.Add("ECHO", string(make([]byte, 1<<20)))
	r.Add("GET", "large")
	if _, err := r.Do(t.Context()); err != nil || len(r.Replies.Bytes()) != 1<<20 || len(r.Replies.Bytes()) != 4<<20 {
		t.Fatal(err)
	}
	in := r.in
	r.Release()
	if cap(r.Wire) > largestRequest {
		t.Errorf("a request keeps %d bytes", cap(r.Wire))
	}
	for range 100 {
		if b := c.buffers.Get().(*buffer); b == in || cap(b.b) > largestKept {
			t.Errorf("a buffer of %d bytes is kept", cap(b.b))
		}
	}
}
