package test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// P4: if the checkpoint and the slots are gone, the number of the new epoch comes from the clock, which may have been
// set back. So there may be keys under this number, and they must not become part of the new epoch.
func TestKeysUnderTheNumberOfTheNewEpochAreRemoved_P4(t *testing.T) {
	t.Parallel()
	const span = 20_000 // the replicator begins to build within this many milliseconds
	s := newSystem(t, testenv.NewDatabase(t))
	s.bids(100)
	bid := readmodel.Bid{RaffleID: 1, ID: 9999, UserID: 1, Size: 260, Price: 1, Quantity: 1}
	pipe := s.redis.Pipeline()
	first := readmodel.Epoch(time.Now().UnixMilli())
	for e := first; e < first+span; e++ {
		pipe.ZAdd(s.ctx, e.Newest(1, 260), redis.Z{Score: bid.NewestScore(), Member: bid.AppendMember(nil)})
	}
	_, err := pipe.Exec(s.ctx)
	s.must(err)
	s.replicate()
	if c := s.equal(); c.Epoch < first || c.Epoch >= first+span {
		t.Errorf("epoch %d is not one of those that were in use", c.Epoch)
	}
}

// P6, R1: a snapshot no longer sees the rows of a table that was truncated after it. So a copy made after the
// truncation is not the content at the snapshot's position.
func TestTruncateDuringTheCopyIsNotServed_P6(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t))
	// The copy stops in the middle of the products, which come first, because Redis is stopped.
	s.exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
		SELECT 'shoe', 'm', 'red', 'sneaker', '/', 1, date '2026-01-01' FROM generate_series(1, 50000) i`)
	s.bids(1000)
	s.replicate()
	testenv.Eventually(t, patience, "the slot has its snapshot", func() bool {
		return s.count("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'pyramid%' AND database = current_database() AND confirmed_flush_lsn IS NOT NULL") == 1
	})
	s.server.Pause(t)
	s.exec("TRUNCATE bids")
	s.server.Resume(t)
	s.equal()
	if n := strings.Count(s.Output(), "rebuilt the read model"); n != 1 || s.report().Rebuilds != 2 {
		t.Errorf("of %d rebuilds %d were served, want 1 of 2", s.report().Rebuilds, n)
	}
}

func (s *system) count(sql string, args ...any) (n int) {
	s.t.Helper()
	s.must(s.db.QueryRow(s.ctx, sql, args...).Scan(&n))
	return n
}
