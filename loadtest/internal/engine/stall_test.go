package engine

import (
	"net/http"
	"testing"
	"time"
)

// stalling serves in 20 ms, but stands still for the first 200 ms of every second, as seen from start.
func stalling(t *testing.T, start time.Time) string {
	t.Helper()
	return serve(t, func(_ http.ResponseWriter, r *http.Request) {
		wait := 20 * time.Millisecond
		if into := time.Since(start) % time.Second; into < stall {
			wait += stall - into
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	})
}

const stall = 200 * time.Millisecond

// A server that stalls 200 ms in every second shows in the p99 of both models.
//
// Open model: a fifth of the arrivals falls into a stall and waits for the rest of it, evenly from 0 to 200 ms. So one in a
// hundred waits for at least 190 ms, which is what wrk2 reports of such a server, too: by intended starts, p99 is the stall
// less a twentieth of it.
//
// Closed model: each user meets each stall once, and makes 40 requests in the 800 ms between two stalls. So one in 41 takes the
// whole stall, and p99 is the stall as well. With more than 99 requests between two stalls this model would hide them.
func TestAStallShowsInBothModels(t *testing.T) {
	for name, c := range map[string]Config{
		"open":   {VUsers: 100, Rate: 200, Duration: 3 * time.Second},
		"closed": {VUsers: 20, Duration: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.Addr = stalling(t, time.Now())
			r, err := Run(t.Context(), c, get(c.Addr))
			if err != nil {
				t.Fatal(err)
			}
			s := r.Step("get")
			// There is no upper bound, because a busy machine adds stalls of its own.
			if p := s.Total.At(99); p < stall*9/10 {
				t.Errorf("p99 is %v, and the server stalls for %v", p, stall)
			}
		})
	}
}
