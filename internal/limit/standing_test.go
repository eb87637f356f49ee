package limit

import (
	"testing"
	"time"
)

func TestStanding(t *testing.T) {
	const ms = time.Millisecond
	l := NewLimiter[int64](Rate{PerSecond: 2, Burst: 10})
	for i, c := range []struct {
		key            int64
		at             time.Duration
		tokens, before int
		want           Standing
	}{
		{1, 0, 5, 0, Standing{}}, // exactly half is left
		{1, 0, 1, 0, Standing{Low: true, Left: 4, More: 500 * ms}},
		{1, 250 * ms, 1, 0, Standing{Low: true, Left: 3, More: 250 * ms}}, // 3.5
		{1, 250 * ms, 4, 0, Standing{Wait: 250 * ms, Low: true, Left: 3, More: 250 * ms}},
		{1, 250 * ms, 6, 0, Standing{Wait: 1250 * ms, Low: true, Left: 3, More: 250 * ms}},
		{1, 250 * ms, 3, 0, Standing{Low: true, Left: 0, More: 250 * ms}},
		{1, 250 * ms, 1, 0, Standing{Wait: 250 * ms, Low: true, Left: 0, More: 250 * ms}},
		{1, 500 * ms, 1, 0, Standing{Low: true, Left: 0, More: 500 * ms}},
		{1, 3500 * ms, 1, 0, Standing{}},                                           // half again
		{1, 3500*ms - 1, 0, 0, Standing{Low: true, Left: 4, More: 1}},              // a moment before
		{1, time.Minute, 1, 0, Standing{}},                                         // full again, and not more
		{1, time.Minute, 10, 0, Standing{Wait: 500 * ms, Left: 9, More: 500 * ms}}, // refused, and much is left
		{2, 0, 1, 0, Standing{}},
		{2, 0, 4, 1, Standing{}},
		{2, 0, 6, 1, Standing{Wait: time.Second, Left: 5, More: 500 * ms}}, // will take 7 when it comes again
		{3, 0, 1, 0, Standing{}},
		{3, 0, 1000, 1, Standing{Low: true, Left: 0, More: 500 * ms}}, // the whole burst, and not more
		{4, 0, 1000, 0, Standing{Low: true, Left: 0, More: 500 * ms}},
		{4, 0, 5, 1000, Standing{Low: true, Left: 0, More: 500 * ms}},
	} {
		if got := l.Take(c.key, c.tokens, c.before, time.Unix(1000, 0).Add(c.at)); got != c.want {
			t.Errorf("step %d: %+v, want %+v", i, got, c.want)
		}
	}
	now := time.Unix(1000, 0)
	for i, want := range []Standing{
		{Low: true, Left: 1, More: 500 * ms}, {Low: true, Left: 0, More: 4500 * ms}, {Low: true, Left: 0, More: 9 * time.Second},
	} {
		if got := l.Owe(5, 9, now); got != want {
			t.Errorf("debt %d: %+v, want %+v", i, got, want)
		}
	}
	if got := (*Limiter[int64])(nil).Owe(5, 9, now); got != (Standing{}) {
		t.Errorf("without a limit: %+v", got)
	}
}

// A client that waits exactly as long as it is told is granted, at any rate.
func TestWaitIsExact(t *testing.T) {
	for _, r := range []Rate{{0.001, 1}, {0.3, 1}, {0.7, 3}, {3, 7}, {7e5, 1e6}, {1e6, 1}, {1e6, 1e6}, {0.001, 1e6}} {
		l, now := NewLimiter[int64](r), time.Unix(1000, 0)
		l.Take(1, r.Burst, 0, now)
		wait := l.Take(1, 1, 0, now).Wait
		if s := l.Take(1, 1, 0, now.Add(wait-1)); s.Wait != 1 {
			t.Errorf("%v: a moment before %v %+v", r, wait, s)
		}
		if s := l.Take(1, 1, 0, now.Add(wait)); s.Wait != 0 {
			t.Errorf("%v: after %v %+v", r, wait, s)
		}
	}
}
