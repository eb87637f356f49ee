package test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// because fails unless the read model is rebuilt for the reason.
func (s *system) because(reason status.Reason) {
	s.t.Helper()
	testenv.Eventually(s.t, patience, "a rebuild because of "+string(reason), func() bool {
		return strings.Contains(s.Output(), `"reason":"`+string(reason)+`"`)
	})
}

// beaten waits until Redis has the next heartbeat, so that the one after it is a second away.
func (s *system) beaten() (c readmodel.Checkpoint) {
	s.t.Helper()
	before := s.reached().Beat.Number
	testenv.Eventually(s.t, patience, "a heartbeat", func() bool {
		var err error
		c, err = s.checkpoint()
		return err == nil && c.Beat.Number > before
	})
	return c
}

// unserved fails if a checkpoint of the epoch was written since the replicator was started, or is in Redis now.
func (s *system) unserved(watch *sightings, since time.Time, e readmodel.Epoch) {
	s.t.Helper()
	for _, seen := range watch.since(since) {
		if seen.Epoch == e {
			s.t.Errorf("an epoch that must not be served was: %s", seen.Checkpoint)
		}
	}
}

// P3, P4, P10, P11, P12: each reason for a rebuild is brought about as it would be in production. The other reasons are
// in faults_test.go (slot_missing, checkpoint_missing, truncated), below (checkpoint_behind_slot), room_test.go
// (keys_evicted), command_test.go (requested), promotion_test.go (primary_forgot, primary_behind_checkpoint) and
// succession_test.go (other_timeline, failover).
func TestEachReasonToRebuild_P4(t *testing.T) {
	stopped := func(t *testing.T) (*system, readmodel.Checkpoint) {
		s := newSystem(t, testenv.NewDatabase(t))
		s.bids(500)
		s.replicate()
		s.reached()
		s.bids(50)
		c := s.reached()
		s.Stop(t)
		return s, c
	}
	t.Run("checkpoint_corrupt", func(t *testing.T) {
		s, _ := stopped(t)
		s.must(s.redis.Set(s.ctx, readmodel.CheckpointKey, "3 of another release", 0).Err())
		s.Start(t)
		s.equal()
		s.because(status.CheckpointCorrupt)
	})
	t.Run("other_version", func(t *testing.T) {
		s, _ := stopped(t)
		s.must(s.redis.Set(s.ctx, readmodel.CheckpointKey, "4 of a later release", 0).Err())
		s.Start(t)
		s.equal()
		s.because(status.OtherVersion)
	})
	t.Run("other_format", func(t *testing.T) {
		s, c := stopped(t)
		c.Format++
		s.must(s.redis.Set(s.ctx, readmodel.CheckpointKey, c.String()+" and further fields", 0).Err())
		if r, err := s.tryVerify(verify.Options{}); err == nil || !strings.Contains(err.Error(), "another release") {
			t.Errorf("verify of another format: %+v, %v", r, err)
		}
		s.Start(t)
		s.because(status.OtherFormat)
		if after := s.equal(); after.Epoch == c.Epoch || after.Format != readmodel.Format {
			t.Errorf("after %s came %s", c, after)
		}
	})
	t.Run("other_system", func(t *testing.T) {
		s, c := stopped(t)
		s.dbs = testenv.StartPostgres(t, testenv.Fresh())
		other := newSystem(t, s.dbs)
		other.server, other.redis = s.server, s.redis
		watch, started := other.sightings(), time.Now()
		other.replicate()
		other.equal()
		other.because(status.OtherSystem)
		other.unserved(watch, started, c.Epoch)
	})
	t.Run("publication_changed while no replicator runs", func(t *testing.T) {
		s, c := stopped(t)
		s.exec("ALTER PUBLICATION pyramid DROP TABLE bids")
		s.bids(30)
		s.exec("ALTER PUBLICATION pyramid ADD TABLE bids")
		watch, started := s.sightings(), time.Now()
		s.Start(t)
		s.equal()
		s.because(status.PublicationChanged)
		s.unserved(watch, started, c.Epoch)
	})
	t.Run("publication_changed while the replicator streams", func(t *testing.T) {
		for _, change := range [][2]string{
			{"DROP TABLE bids", "ADD TABLE bids"},
			{"SET (publish = 'insert')", "SET (publish = 'insert, update, delete, truncate')"},
			{"SET TABLE bids WHERE (raffle_id > 5), raffles, products", "SET TABLE bids, raffles, products"},
		} {
			s := newSystem(t, testenv.NewDatabase(t))
			s.bids(100)
			s.replicate()
			c := s.reached()
			s.exec("ALTER PUBLICATION pyramid " + change[0])
			s.bids(30)
			s.exec("DELETE FROM bids WHERE id % 7 = 0")
			s.exec("ALTER PUBLICATION pyramid " + change[1])
			s.because(status.PublicationChanged)
			if after := s.equal(); after.Epoch == c.Epoch {
				t.Errorf("%s: %s", change[0], after)
			}
			s.Stop(t)
		}
	})
	t.Run("a table renamed for a while", func(t *testing.T) {
		s := newSystem(t, testenv.NewDatabase(t))
		s.bids(100)
		s.replicate()
		s.reached()
		s.exec("ALTER TABLE bids RENAME TO others")
		s.exec("DELETE FROM others WHERE id % 7 = 0")
		s.exec("ALTER TABLE others RENAME TO bids")
		s.because(status.PublicationChanged)
		s.equal()
	})
	t.Run("an incomplete publication is not served", func(t *testing.T) {
		s := newSystem(t, testenv.NewDatabase(t))
		s.bids(100)
		s.replicate()
		s.reached()
		s.exec("ALTER PUBLICATION pyramid DROP TABLE products")
		testenv.Eventually(t, patience, "the error is told", func() bool { return strings.Contains(s.report().LastError, "must carry every change") })
		if c, err := s.checkpoint(); err == nil {
			t.Errorf("it is served: %s", c)
		}
		s.exec("ALTER PUBLICATION pyramid ADD TABLE products")
		s.expect("rebuild", 0, "is served")
		s.equal()
	})
	t.Run("flush_torn", func(t *testing.T) {
		s := newSystem(t, testenv.NewDatabase(t))
		s.bids(100)
		s.replicate()
		c := s.reached()
		for raffle := range int64(10) {
			s.must(s.redis.Del(s.ctx, c.Epoch.Live(raffle+1)).Err())
			s.must(s.redis.Set(s.ctx, c.Epoch.Live(raffle+1), "no stream", 0).Err())
		}
		s.bids(20)
		s.because(status.Torn)
		s.equal()
	})
}

// P4: the server gives a slot up, first while no replicator runs and then during a rebuild.
func TestLostSlotIsNoticed_P4(t *testing.T) {
	t.Parallel()
	primary := testenv.StartPostgres(t, testenv.Set("max_slot_wal_keep_size", "2MB"), testenv.Set("wal_keep_size", "0"))
	s := newSystem(t, primary)
	s.bids(500)
	s.replicate()
	c := s.beaten()
	lose := func(slot string) {
		testenv.EventuallyNoError(t, patience, "the slot is lost", func() error {
			s.exec("SELECT pg_logical_emit_message(true, 'elsewhere', repeat('x', 4 << 20)); SELECT pg_switch_wal(); CHECKPOINT")
			if s.count("SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1 AND wal_status = 'lost'", slot) == 0 {
				return errors.New("not yet")
			}
			return nil
		})
	}
	s.Kill(t)
	testenv.Eventually(t, patience, "the walsender is gone", func() bool {
		return s.count("SELECT count(*) FROM pg_replication_slots WHERE active") == 0
	})
	lose(c.Slot)
	s.bids(10)
	s.Start(t)
	s.equal()
	s.because(status.SlotLost)

	// Redis is stopped, so the copy stops, and its slot is lost meanwhile.
	s.exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
		SELECT 'shoe', 'm', 'red', 'sneaker', '/', 1, date '2026-01-01' FROM generate_series(1, 50000) i`)
	s.reached()
	before := s.report().Rebuilds
	s.must(s.redis.FlushAll(s.ctx).Err())
	testenv.Eventually(t, patience, "another slot", func() bool {
		return s.report().Rebuilds > before && s.report().Rebuild != nil && s.report().Rebuild.Slot != ""
	})
	s.server.Pause(t)
	slot := s.report().Rebuild.Slot
	testenv.Eventually(t, patience, "the slot is there", func() bool {
		return s.count("SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1", slot) == 1
	})
	lose(slot)
	s.server.Resume(t)
	testenv.Eventually(t, patience, "the rebuild is ended", func() bool { return strings.Contains(s.Output(), "has given the slot up") })
	s.equal()
}

// P4: a new slot waits for open transactions, and the status lists them.
func TestARebuildSaysWhichTransactionItWaitsFor_P4(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.StartPostgres(t))
	s.exec("SET application_name = 'forgotten'; BEGIN; UPDATE products SET color = 'blue'")
	s.replicate()
	testenv.Eventually(t, patience, "the transaction is named", func() bool {
		p := s.report().Rebuild
		return p != nil && len(p.WaitsFor) == 1 && strings.Contains(p.WaitsFor[0], "forgotten, idle in transaction")
	})
	s.expect("status", 1, "waits for", "forgotten")
	s.exec("COMMIT")
	s.equal()
}

// P4: an older state of Redis, such as a restored backup, is behind what was confirmed to the slot, so it is not
// resumed from.
func TestAnOlderRedisIsNotResumedFrom_P4(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	s.equal()
	s.Stop(t)
	s.server.Stop(t)
	files, backup := filepath.Join(s.server.Dir(), "appendonlydir"), filepath.Join(t.TempDir(), "backup")
	s.must(os.CopyFS(backup, os.DirFS(files)))
	s.server.Start(t)
	before, err := s.checkpoint()
	s.must(err)
	s.Start(t)
	s.bids(100)
	testenv.Eventually(t, patience, "the slot is past the backup", func() (past bool) {
		s.must(s.db.QueryRow(s.ctx, "SELECT confirmed_flush_lsn > $1::text::pg_lsn FROM pg_replication_slots WHERE slot_name = $2",
			before.LSN.String(), before.Slot).Scan(&past))
		return past
	})
	s.Stop(t)
	s.server.Stop(t)
	s.must(os.RemoveAll(files))
	s.must(os.CopyFS(files, os.DirFS(backup)))
	s.server.Start(t)
	s.Start(t)
	s.because(status.CheckpointBehind)
	s.equal()
}
