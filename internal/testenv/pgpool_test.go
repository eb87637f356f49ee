package testenv

import (
	"testing"
	"time"
)

const onStandby = "SELECT current_setting('in_hot_standby')::boolean"

// After a failover pgpool-II serves reads without anybody's help, and the old primary, which has become the standby,
// gets the reads. It goes the other way, too.
func TestPgpoolFollowsTheRoles(t *testing.T) {
	t.Parallel()
	primary := StartPostgres(t)
	standby := primary.StartStandby(t)
	pool := StartPgpool(t, primary, standby)
	for range 2 {
		primary.Kill(t)
		standby.Promote(t)
		start := time.Now()
		answeredBy(t, pool, false)
		t.Logf("reads are back %v after the promotion", time.Since(start))
		primary.Rejoin(t, standby)
		start = time.Now()
		answeredBy(t, pool, true)
		EventuallyNoError(t, startBudget, "pgpool knows both", pool.ready)
		t.Logf("the standby has the reads %v after it streams", time.Since(start))
		primary, standby = standby, primary
	}
}

// answeredBy waits until new sessions read from a standby, or from the primary.
func answeredBy(t *testing.T, pool *Pgpool, standby bool) {
	t.Helper()
	Eventually(t, startBudget, "the node of that role answers reads", func() bool {
		got, err := tryScan[bool](pool.URL("query"), onStandby)
		return err == nil && got == standby
	})
}
