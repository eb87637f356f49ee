package test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// load inserts and deletes bids on a connection of its own until stop is called. The newest 3,000 bids stay.
func (s *system) load() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		conn, err := pgx.Connect(ctx, s.dbs.URL("postgres"))
		if err != nil {
			s.t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		pause := time.NewTicker(4 * time.Millisecond)
		defer pause.Stop()
		for ; ctx.Err() == nil; <-pause.C {
			// The statement has no context that ends, so a statement that runs ends before stop returns.
			_, err := conn.Exec(context.Background(), insertBids, 50)
			if err == nil {
				_, err = conn.Exec(context.Background(), `DELETE FROM bids WHERE id < (SELECT max(id) - 3000 FROM bids)`)
			}
			if err != nil {
				s.t.Error(err)
				return
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

func TestKilledFiveTimesUnderLoadLosesNothing_P2(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	stop := s.load()
	for range 5 {
		s.reached()
		s.Kill(t)
		s.Start(t)
	}
	stop()
	s.equal()
	if n := s.report().Rebuilds; n != 0 {
		t.Errorf("%d rebuilds: the stream must be resumed", n)
	}
}

func TestFlushedRedisIsNoticedWithinASecondAndRebuilt_P3(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(1000)
	s.equal()
	s.must(s.redis.FlushAll(s.ctx).Err())
	flushed := time.Now()
	testenv.Eventually(t, patience, "the flush is noticed", func() bool { return s.report().Rebuilds >= 2 })
	s.equal()
	if n := strings.Count(s.Output(), `"reason":"`+string(status.CheckpointMissing)+`"`); n != 2 {
		t.Errorf("%d rebuilds without a checkpoint, want the first and the one after the flush", n)
	}
	// The time is that of the log, because asking for the status may take longer on a busy machine.
	if took := s.logged("rebuilding the read model").Sub(flushed); took > time.Second {
		t.Errorf("the flush was noticed after %v", took)
	}

	stop := s.load()
	before := s.reached()
	s.must(s.redis.FlushAll(s.ctx).Err())
	testenv.Eventually(t, patience, "the flush under load is noticed", func() bool {
		c, err := s.checkpoint()
		return err == nil && c.Epoch > before.Epoch
	})
	stop()
	s.equal()
}

// logged returns when the replicator logged its last line with the text.
func (s *system) logged(text string) (at time.Time) {
	s.t.Helper()
	for line := range strings.Lines(s.Output()) {
		if strings.Contains(line, text) {
			var entry struct{ Time time.Time }
			s.must(json.Unmarshal([]byte(line), &entry))
			at = entry.Time
		}
	}
	if at.IsZero() {
		s.t.Fatalf("nothing was logged about %q", text)
	}
	return at
}

func TestDroppedSlotIsNoticedAndRebuilt_P4(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	before := s.reached()
	s.Kill(t)
	testenv.EventuallyNoError(t, patience, "drop the slot", func() error {
		_, err := s.db.Exec(s.ctx, "SELECT pg_drop_replication_slot($1)", before.Slot)
		return err
	})
	s.bids(100)
	s.Start(t)
	s.equal()
	s.because(status.SlotMissing)
	if after := s.reached(); after.Epoch <= before.Epoch || after.Slot == before.Slot {
		t.Errorf("%s after %s", after, before)
	}
}

func TestInterruptedRebuildLeavesNothingBehind_P4(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.bids(60_000)
	s.replicate()
	testenv.Eventually(t, patience, "the rebuild has written something", func() bool { return s.redis.DBSize(s.ctx).Val() > 20 })
	s.server.Pause(t) // so that the rebuild can't end before the kill
	s.Kill(t)
	s.server.Resume(t)
	if n := s.redis.Exists(s.ctx, readmodel.CheckpointKey).Val(); n != 0 {
		t.Fatal("the rebuild was over before the kill")
	}
	if slots := s.slots(); slots != 1 {
		t.Fatalf("the killed rebuild left %d slots, want its own", slots)
	}
	s.Start(t)
	s.equal()
	testenv.Eventually(t, patience, "one slot", func() bool { return s.slots() == 1 })
}

func (s *system) slots() (n int) {
	s.t.Helper()
	s.must(s.db.QueryRow(s.ctx, "SELECT count(*) FROM pg_replication_slots WHERE database = current_database()").Scan(&n))
	return n
}

func TestBigTransactionIsAppliedInParts_P5(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(10)
	s.equal()
	applying := make(chan bool)
	go func() {
		seen := false
		for c, err := s.checkpoint(); err == nil && s.redis.SCard(s.ctx, c.Epoch.Sizes(2)).Val() < 12; c, err = s.checkpoint() {
			seen = seen || c.Applying
		}
		c, err := s.checkpoint()
		applying <- seen || (err == nil && c.Applying)
	}()
	s.bids(100_000)
	if !<-applying {
		t.Error("the checkpoint never said applying")
	}
	s.equal()
	s.exec("UPDATE bids SET price = price + 1")
	s.exec("DELETE FROM bids WHERE raffle_id <> 3")
	s.equal()
	if peak := s.peakMemory(); peak > 128<<10 {
		t.Errorf("%d kB of memory for transactions of 100,000 rows", peak)
	}
}

// peakMemory is the largest resident size of the replicator, in kB (proc(5)).
func (s *system) peakMemory() (kb int) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	s.must(err)
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	_, err = fmt.Sscan(after, &kb)
	s.must(err)
	return kb
}

func TestLagIsOfTheProbeAndGrowsWhenStuck_P7(t *testing.T) {
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.reached()
	lag := func() int64 { c, err := s.checkpoint(); s.must(err); return c.LagMillis(time.Now().UnixMicro()) }
	before, err := s.checkpoint()
	s.must(err)
	testenv.Eventually(t, patience, "a probe arrives", func() bool { c, err := s.checkpoint(); return err == nil && c.Beat.At > before.Beat.At })
	if ms := lag(); ms > 1000 {
		t.Errorf("the lag is %d ms while all is well", ms)
	}
	s.Pause(t)
	testenv.Eventually(t, patience, "the lag of a stopped replicator grows", func() bool { return lag() > 500 })
	s.Resume(t)
	s.equal()
}

func TestRedisThatLostItsLastWritesIsCaughtUp_P1(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(1000)
	s.equal()
	for range 20 {
		s.bids(50)
		s.reached()
	}
	before, err := s.checkpoint()
	s.must(err)
	s.server.Kill(t)
	files, err := filepath.Glob(filepath.Join(s.server.Dir(), "appendonlydir", "*.incr.aof"))
	s.must(err)
	for _, file := range files {
		info, err := os.Stat(file)
		s.must(err)
		s.must(os.Truncate(file, max(info.Size()-30_000, 0)))
	}
	s.server.Start(t)
	// The replicator may have written again before this looks at what Redis has kept.
	if c, err := s.checkpoint(); err == nil && c.Token == before.Token && c.LSN >= before.LSN {
		t.Errorf("nothing was lost: %s", c)
	}
	s.equal()
	if n := s.report().Rebuilds; n != 1 {
		t.Errorf("%d rebuilds: the slot still had what was lost", n-1)
	}
}

func TestTruncateRebuilds_P6(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(1000)
	s.equal()
	s.exec("TRUNCATE bids")
	s.bids(10)
	s.equal()
	s.because(status.Truncated)
	if st := s.report(); st.Rebuilds != 2 {
		t.Errorf("%d rebuilds, want one for the truncate", st.Rebuilds-1)
	}
}

func TestAddedColumnsAndUnchangedTOAST_P6(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.exec("ALTER TABLE products ALTER name SET STORAGE EXTERNAL")
	s.replicate()
	s.reached()
	s.exec("UPDATE products SET name = repeat('long ', 2000) WHERE id = 2")
	s.exec("UPDATE products SET release_price = 7 WHERE id = 2")
	s.exec("ALTER TABLE bids ADD note text DEFAULT 'x', ADD more bigint")
	s.exec("ALTER TABLE raffles DROP CONSTRAINT raffles_seller_id_fkey, ADD first int")
	s.bids(100)
	s.exec("UPDATE raffles SET closed_at = clock_timestamp(), closing_price = 5000 WHERE id = 3")
	s.equal()
}

func TestWhatDoesNotFitStopsWithAClearError_P6(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.reached()
	s.exec("ALTER TABLE products RENAME model TO modell")
	s.exec("UPDATE products SET color = 'blue'")
	s.bids(10)
	testenv.Eventually(t, patience, "the error is told", func() bool {
		return strings.Contains(s.report().LastError, "public.products has no column model")
	})
	before, err := s.checkpoint()
	s.must(err)
	s.exec("ALTER TABLE products RENAME modell TO model")
	// The stream still brings the rows of the time in between, so only a rebuild helps.
	s.must(s.redis.Del(s.ctx, readmodel.CheckpointKey).Err())
	s.equal()
	if before.LSN >= s.lsn() {
		t.Error("the checkpoint moved past what could not be applied")
	}
}
