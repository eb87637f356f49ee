package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// paused waits until the system's own replicator says that it is paused and has a lag of at least so long.
func (s *system) paused(lag time.Duration) {
	s.t.Helper()
	testenv.EventuallyNoError(s.t, patience, "a pause with a lag of "+lag.String(), func() error {
		if st := s.report(); st.State != status.Paused || st.LagMillis < lag.Milliseconds() {
			return fmt.Errorf("it is %s with a lag of %d ms", st.State, st.LagMillis)
		}
		return nil
	})
}

// own makes a replicator the one that status and ready are of.
func (s *system) own(more ...string) {
	s.t.Helper()
	s.Program = nil
	s.replicate(more...)
}

// activePID is the walsender that has the slot of the checkpoint.
func (s *system) activePID(c readmodel.Checkpoint) (pid int) {
	s.t.Helper()
	s.must(s.db.QueryRow(s.ctx, "SELECT coalesce(active_pid, 0) FROM pg_replication_slots WHERE slot_name = $1", c.Slot).Scan(&pid))
	return pid
}

// position is where Redis stands.
func (s *system) position() readmodel.Checkpoint {
	s.t.Helper()
	c, err := s.checkpoint()
	s.must(err)
	return c
}

func TestAPauseAppliesNothingAndKeepsTheSlot_P1_P7(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(1000)
	s.equal()
	s.expect("pause --reason=inspection", 0, "paused since", "replicator resume")
	at := s.position()
	walsender := s.activePID(at)
	s.bids(100_000) // more than waits in the replicator and in the buffers of the connection
	s.paused(8 * time.Second)
	if now := s.position(); now.LSN != at.LSN || now.Commit != at.Commit || now.Epoch != at.Epoch {
		t.Errorf("Redis moved during the pause: %s, then %s", at, now)
	}
	if pid := s.activePID(at); pid == 0 || pid != walsender {
		t.Errorf("the walsender %d became %d: it got no answers for longer than wal_sender_timeout, 5 s", walsender, pid)
	}
	if st := s.report(); st.Pause == nil || st.Pause.Reason != "inspection" || st.LagBytes == 0 || st.RetainedBytes == 0 || st.LimitBytes < 0 {
		t.Errorf("%+v", st)
	}
	if !s.streaming() {
		t.Error("/readyz says that a paused replicator is not ready")
	}
	if value := s.metric(`replicator_state{state="paused"}`); value != "1" {
		t.Errorf("replicator_state of paused is %q", value)
	}
	s.expect("status", 1, "paused", `nothing is applied until "replicator resume"`, "inspection", "of WAL back")
	s.expect("status --json", 1, `"state": "paused"`, `"reason": "inspection"`)
	s.expect("pause --json", 0, `"paused": true`, `"reason": "inspection"`)
	s.expect("rebuild", 1, "409", "it is paused")
	s.expect("verify", 2, "the replicator is paused")
	s.expect("reload --raffle=1", 1, "the replicator is paused")
	if n := s.redis.Exists(s.ctx, readmodel.ReloadKey).Val(); n != 0 {
		t.Error("a refused reload is asked for")
	}
	s.expect("resume --json", 0, `"paused": false`, `"reason": "inspection"`)
	s.equal()
	s.expect("resume", 0, "it was not paused")
	s.expect("status", 0, "streaming")
}

func TestAPauseOutlivesATakeoverAndARestart_P9(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	first := s.replicate()
	s.bids(100)
	s.equal()
	s.own()
	testenv.Eventually(t, patience, "the second waits", func() bool { return s.report().State == status.Waiting })
	s.expect("pause", 0, "paused since")
	at := s.position()
	testenv.Eventually(t, patience, "the second knows of the pause", func() bool { return s.report().Pause != nil })
	s.expect("status", 0, "waiting", `nothing is applied until "replicator resume"`)
	first.Kill(t)
	s.bids(100)
	s.paused(2 * time.Second)
	second := s.position()
	if second.LSN != at.LSN || second.Token == at.Token {
		t.Errorf("%s after %s: the second applied something, or never took over", second, at)
	}
	s.Kill(t)
	s.own()
	s.paused(3 * time.Second)
	if third := s.position(); third.LSN != at.LSN || third.Token == second.Token {
		t.Errorf("%s after %s", third, second)
	}
	s.expect("resume", 0, "resumed after a pause of")
	s.equal()
	if st := s.report(); st.Rebuilds != 0 {
		t.Errorf("%+v", st)
	}
}

// A pause that is ordered while no replicator runs holds from the first moment.
func TestAPauseIsOrderedBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	s.equal()
	s.Stop(t)
	at := s.position()
	s.must(s.redis.Set(s.ctx, readmodel.PauseKey, readmodel.Pause{Since: time.Now().UnixMicro(), Reason: "early"}.String(), 0).Err())
	s.bids(100)
	s.own()
	s.paused(time.Second)
	if now := s.position(); now.LSN != at.LSN {
		t.Errorf("%s after %s", now, at)
	}
	s.expect("resume", 0, "resumed")
	s.equal()
}

// P11: what must not be served is taken away during a pause, too, and it is copied anew only after the pause.
func TestAPausedReplicatorRebuildsNothing_P11(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	s.equal()
	s.expect("pause", 0, "paused")
	s.exec("ALTER PUBLICATION pyramid SET (publish = 'insert')")
	testenv.Eventually(t, patience, "the checkpoint is gone", func() bool { _, err := s.checkpoint(); return err != nil })
	s.exec("ALTER PUBLICATION pyramid SET (publish = 'insert, update, delete, truncate')")
	s.paused(time.Second)
	if st := s.report(); st.Rebuilds != 1 || st.LSN != "" {
		t.Errorf("%+v", st)
	}
	s.expect("resume", 0, "resumed")
	s.equal()
	if st := s.report(); st.Rebuilds != 2 {
		t.Errorf("%+v", st)
	}
}

// P3: a pause is lost with the data that it is about.
func TestAnEmptiedRedisIsFilledDuringAPause_P3(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	s.replicate()
	s.bids(100)
	s.equal()
	s.expect("pause", 0, "paused")
	s.must(s.redis.FlushAll(s.ctx).Err())
	s.equal()
}

// pause pauses the replicators for a while.
func (h *history) pause() {
	p := readmodel.Pause{Since: time.Now().UnixMicro(), Reason: "a history"}
	h.must(h.redis.Set(h.ctx, readmodel.PauseKey, p.String(), 0).Err())
	h.after(1+h.random.IntN(4), "end the pause", h.endPause)
}

// endPause also ends a pause that Redis has brought back, because it lost its last writes.
func (h *history) endPause() { h.must(h.redis.Del(h.ctx, readmodel.PauseKey).Err()) }
