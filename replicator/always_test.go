package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// verifyAlways compares every now and then until the end of the test. While servers are killed some
// comparisons end in an error; one that comes to its end must find nothing.
func (s *system) verifyAlways(t *testing.T) {
	options, err := redis.ParseURL(s.server.URL())
	s.must(err)
	v := verify.New(s.dbs.URL("replicator"), options)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		compared, failed := 0, 0
		for tick := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; {
			r, err := v.Run(ctx, verify.Options{Scope: verify.Everything, Details: 10})
			switch {
			case err != nil:
				failed++
			case r.Divergent > 0:
				t.Errorf("%d keys differed: %v", r.Divergent, r.Findings)
			default:
				compared++
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				tick.Stop()
			}
		}
		t.Logf("%d comparisons found nothing, %d did not come to their end", compared, failed)
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
}
