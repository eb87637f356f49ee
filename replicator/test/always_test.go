package test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// verifyAlways compares again and again until the end of the test. A comparison may fail while servers are killed, but
// a comparison that is completed must find nothing, unless something was damaged on purpose meanwhile. damages counts
// the begins and ends of such damages.
func (s *system) verifyAlways(t *testing.T, damages *atomic.Int64) {
	options, err := redis.ParseURL(s.server.URL())
	s.must(err)
	v := verify.New(s.dbs.URL("replicator"), options)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		compared, failed := 0, 0
		for tick := time.NewTicker(time.Second); ctx.Err() == nil; {
			before := damages.Load()
			r, err := v.Run(ctx, verify.Options{Scope: verify.Everything, Details: 10})
			switch {
			case err != nil:
				failed++
			case r.Divergent > 0 && (before%2 == 1 || damages.Load() != before): // something was damaged meanwhile
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
