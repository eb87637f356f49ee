package drill

import (
	"context"
	"time"
)

// heldTime is how long a transaction stays open if nobody releases it. A verb of ctl must not take longer.
const heldTime = "80"

const (
	// The comment lets release find the transaction.
	openEnd    = "; SELECT pg_sleep(" + heldTime + ") /* held */; COMMIT"
	holdsNow   = `SELECT 1 / count(*)::int FROM pg_stat_activity WHERE query LIKE '%/* held */%' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()`
	releaseAll = `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE query LIKE '%/* held */%' AND pid <> pg_backend_pid()`
)

// hold begins a transaction in the background and returns once it holds what its statement takes.
func (s *stage) hold(ctx context.Context, statement string) error {
	ended := make(chan error, 1)
	go func() {
		_, err := s.ctl.Do(ctx, "sql", "primary", "BEGIN; "+statement+openEnd)
		ended <- err // release ends it, which psql takes for an error
	}()
	return await(ctx, 10*time.Second, "the transaction to begin", func() string {
		select {
		case err := <-ended:
			ended <- err
			if err != nil {
				return err.Error()
			}
			return "it has ended already"
		default:
		}
		if _, err := s.ctl.Do(ctx, "sql", "primary", holdsNow); err != nil {
			return "it is not open yet"
		}
		return ""
	})
}

// release ends what hold has begun, if it has not ended by itself.
func (s *stage) release(ctx context.Context) error {
	_, err := s.ctl.Do(ctx, "sql", "primary", releaseAll)
	return err
}
