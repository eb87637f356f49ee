package primary

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

const patience = 30 * time.Second

// start runs a watch until the end of the test.
func start(t *testing.T, primaryURL, standbyURL string) *Watch {
	t.Helper()
	w, err := NewWatch(primaryURL, standbyURL, slog.New(slog.NewTextHandler(io.Discard, nil)), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *Watch) await(t *testing.T, what string, is func(*State) bool) {
	t.Helper()
	testenv.Eventually(t, patience, what, func() bool { return is(w.State()) })
}

// R7, P10: the watch finds a newer primary while the old one still answers, and never goes back to the old one.
func TestTheNewerPrimaryIsWatchedR7(t *testing.T) {
	old := testenv.StartPostgres(t)
	standby := old.StartStandby(t)
	url := testenv.MultiHostURL(old.URL("query"), standby.URL("query"))
	w := start(t, url, standby.URL("query"))
	w.await(t, "the primary is watched", func(s *State) bool { return s.Connected && s.History.Present() == 1 })
	before := w.Ask(t.Context()).At()
	standby.Promote(t) // the old primary takes writes, too
	w.await(t, "the newer one is watched", func(s *State) bool { return s.Connected && s.History.Present() == 2 })
	s := w.State()
	if s.History.Judge(before) != lsn.Held || s.History.Judge(lsn.Position{Timeline: 1, LSN: s.Flushed}) != lsn.Lost {
		t.Errorf("R7: history %+v", s.History)
	}
	if sure, err := w.Judge(lsn.Position{Timeline: 1, LSN: s.Flushed}, heartbeat.Beat{}); !sure || !errors.Is(err, ErrForked) {
		t.Errorf("P10: the old primary is believed: %v", err)
	}
	standby.Stop(t)
	w.await(t, "it is gone", func(s *State) bool { return !s.Connected })
	if s := w.Ask(t.Context()); s.Connected || s.History.Present() != 2 {
		t.Errorf("P10: the old primary is watched again: %+v", s)
	}
	standby.Start(t)
	w.await(t, "the newer one is watched again", func(s *State) bool { return s.Connected && s.History.Present() == 2 })
}

// P10: a primary that comes back as an older copy of itself has lost the heartbeats that others show, and the
// first question after it was away tells so.
func TestARestoredPrimaryIsNoticedP10(t *testing.T) {
	p := testenv.StartPostgres(t)
	backup := p.Backup(t)
	w := start(t, p.URL("query"), p.URL("query"))
	w.await(t, "the primary is watched", func(s *State) bool { return s.Connected })
	p.Exec(t, "SELECT heartbeat()")
	var shown heartbeat.Beat
	testenv.Eventually(t, patience, "the heartbeat is known", func() bool { shown = w.beats.Newest(); return shown.Number > 1 })
	at := w.Ask(t.Context()).At()
	if err := w.Believe(t.Context(), at, shown); err != nil {
		t.Fatalf("before: %v", err)
	}
	p.Kill(t)
	w.Ask(t.Context())
	if err := w.Believe(t.Context(), at, shown); err != nil {
		t.Errorf("while no primary runs: %v", err)
	}
	p.Restore(t, backup)
	p.Start(t)
	forked := func() bool {
		s := w.Ask(t.Context())
		err := w.Believe(t.Context(), at, shown)
		if s.Connected && !errors.Is(err, ErrForked) {
			t.Errorf("P10: a heartbeat that the primary has lost: %v", err)
		}
		return s.Connected
	}
	testenv.Eventually(t, patience, "the primary is watched again", forked)
	p.Exec(t, "SELECT heartbeat()") // in the place of the lost one
	if !forked() {
		t.Error("P10: the primary is not watched any more")
	}
}

// R8: with a primary that is stopped in order, and with one that is frozen, a read does not wait long.
func TestAQuestionIsBoundedR8(t *testing.T) {
	p := testenv.StartPostgres(t)
	w := start(t, p.URL("query"), p.URL("query"))
	w.await(t, "the primary is watched", func(s *State) bool { return s.Connected })
	p.Pause(t)
	testenv.Eventually(t, patience, "it does not answer", func() bool {
		began := time.Now()
		connected := w.Check(t.Context()).Connected
		if took := time.Since(began); took > checkTime+500*time.Millisecond {
			t.Errorf("R8: a question took %v", took)
		}
		return !connected
	})
	if lag := w.Lag(w.beats.Newest()); lag < 0 {
		t.Errorf("P7: lag %v", lag)
	}
	p.Resume(t)
	w.await(t, "it answers again", func(s *State) bool { return s.Connected })
	p.Stop(t)
	w.await(t, "it is gone", func(s *State) bool { return !s.Connected })
	before := w.Lag(w.beats.Newest())
	for range 20 {
		w.Ask(t.Context())
	}
	if after := w.Lag(w.beats.Newest()); after > before+100*time.Millisecond {
		t.Errorf("P7: the lag grows from %v to %v while no primary runs", before, after)
	}
}

// R7: the history is known from a standby while no primary was ever seen.
func TestTheHistoryIsKnownWithoutAPrimary(t *testing.T) {
	p := testenv.StartPostgres(t)
	standby := p.StartStandby(t)
	p.Stop(t)
	w := start(t, p.URL("query"), standby.URL("query"))
	w.await(t, "the standby has told", func(s *State) bool { return s.History.Present() == 1 && s.SystemID != 0 && !s.Connected })
	if !w.Reached(lsn.Position{Timeline: 1, LSN: 5}, lsn.Position{LSN: 5}) {
		t.Error("a position without a timeline is not compared")
	}
}
