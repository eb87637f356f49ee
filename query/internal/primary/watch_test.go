package primary

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

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
func TestTheNewerPrimaryIsWatched_R7(t *testing.T) {
	old := testenv.StartPostgres(t)
	standby := old.StartStandby(t)
	url := testenv.MultiHostURL(old.URL("query"), standby.URL("query"))
	w := start(t, url, standby.URL("query"))
	w.await(t, "the primary is watched", func(s *State) bool { return s.Connected && s.History.Present() == 1 })
	before := w.Ask(t.Context()).At()
	standby.WaitReplay(t)
	standby.Promote(t) // the old primary takes writes, too
	w.await(t, "the newer one is watched", func(s *State) bool { return s.Connected && s.History.Present() == 2 })
	s := w.State()
	if s.History.Judge(before) != lsn.Held || s.History.Judge(lsn.Position{Timeline: 1, LSN: s.Flushed}) != lsn.Lost {
		t.Errorf("R7: history %+v", s.History)
	}
	if err := w.Believe(t.Context(), Sight{At: lsn.Position{Timeline: 1, LSN: s.Flushed}}); !errors.Is(err, ErrForked) {
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

// R8: the loss of the primary is a change at once, before the watch has noticed it, and no more when it lasts.
func TestALostPrimaryChangesForAMoment_R8(t *testing.T) {
	n := startNodes(t)
	testenv.Eventually(t, patience, "the first primary is no change any more", func() bool { return !n.watch.Changing() })
	n.primary.Stop(t)
	if !n.watch.Changing() {
		t.Error("R8: the loss is no change")
	}
	n.watch.await(t, "the loss is noticed", func(s *State) bool { return !s.Connected })
	if !n.watch.Changing() {
		t.Error("R8: a loss that was just noticed is no change")
	}
	testenv.Eventually(t, patience, "a long outage is no change", func() bool { return !n.watch.Changing() })
}

// nodes are a primary and its standby, with a watch of the primary.
type nodes struct {
	primary, standby *testenv.Postgres
	watch            *Watch
}

func startNodes(t *testing.T) *nodes {
	t.Helper()
	n := &nodes{primary: testenv.StartPostgres(t)}
	n.standby = n.primary.StartStandby(t)
	n.watch = start(t, n.primary.URL("query"), n.standby.URL("query"))
	n.watch.await(t, "the primary is watched", func(s *State) bool { return s.Connected })
	return n
}

func query(t *testing.T, p *testenv.Postgres, sql string, args []any, into ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), p.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.QueryRow(t.Context(), sql, args...).Scan(into...), conn.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
}

// sight is what the standby shows.
func (n *nodes) sight(t *testing.T) (seen Sight) {
	t.Helper()
	var text string
	query(t, n.standby, `SELECT timeline || '-' || lsn, number, nonce, at, started FROM node_position('0/0', NULL)`, nil,
		&text, &seen.Beat.Number, &seen.Beat.Nonce, &seen.Beat.At, &seen.Started)
	var err error
	if seen.At, err = lsn.ParsePosition(text); err != nil {
		t.Fatal(err)
	}
	return seen
}

// copied is what Redis shows if it has everything up to the primary's last commit.
func (n *nodes) copied(t *testing.T) (c Copy) {
	t.Helper()
	var before, begins string
	query(t, n.primary, "SELECT pg_current_wal_flush_lsn()::text", nil, &before)
	n.primary.Exec(t, "INSERT INTO users (login, password_hash) VALUES (gen_random_uuid()::text, 'x')")
	query(t, n.primary, `WITH w AS (SELECT r.start_lsn, r.description FROM wal.pg_get_wal_records_info($1::text::pg_lsn, pg_current_wal_flush_lsn()) r
			WHERE r.record_type = 'COMMIT' ORDER BY 1 DESC LIMIT 1)
		SELECT w.start_lsn::text, (extract(epoch FROM substring(w.description FROM '\d+-\d+-\d+ \d+:\d+:\d+\.\d+\S+')::timestamptz) * 1000000)::bigint,
			(extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, h.number, h.nonce FROM w, heartbeats h ORDER BY h.number DESC LIMIT 1`, []any{before},
		&begins, &c.Last.At, &c.Server, &c.Beat.Number, &c.Beat.Nonce)
	var err error
	if c.Last.Begins, err = lsn.Parse(begins); err != nil {
		t.Fatal(err)
	}
	c.At = lsn.Position{Timeline: 1, LSN: c.Last.Begins + 1}
	return c
}

// P10: a primary comes back as an older copy of itself. From the first question that finds it, neither Redis nor the
// standby is believed, however little they have of the lost history (less than a heartbeat) and however far the new
// one has grown.
func TestARestoredPrimaryIsNoticed_P10(t *testing.T) {
	for name, lose := range map[string]string{"heartbeats": "SELECT heartbeat()", "less than a heartbeat": "INSERT INTO users (login, password_hash) VALUES ('lost', 'x')"} {
		t.Run(name, func(t *testing.T) {
			n := startNodes(t)
			n.primary.Exec(t, "SELECT heartbeat()")
			backup := n.primary.Backup(t)
			n.primary.Exec(t, lose)
			n.standby.WaitReplay(t)
			redis, standby := n.copied(t), n.sight(t)
			n.standby.WaitReplay(t)
			generation := n.watch.State().Generation
			if err := errors.Join(n.watch.Vouch(redis), n.watch.Believe(t.Context(), standby)); err != nil {
				t.Errorf("before: %v", err)
			}
			n.primary.Kill(t)
			if s, err := n.watch.Check(t.Context()); err != nil || s.Connected {
				t.Errorf("R6: while no primary runs: %+v, %v", s, err)
			}
			if err := errors.Join(n.watch.Vouch(redis), n.watch.Believe(t.Context(), standby)); err != nil {
				t.Errorf("R6: while no primary runs: %v", err)
			}
			n.primary.Restore(t, backup)
			n.primary.Start(t)
			forked := func() bool {
				s, err := n.watch.Check(t.Context())
				if err == nil && (!s.Connected || s.Generation != generation+1) {
					t.Fatalf("P10: with a primary that runs, %+v", s)
				}
				if r, b := n.watch.Vouch(redis), n.watch.Believe(t.Context(), standby); err == nil && (r == nil || b == nil) {
					t.Errorf("P10: at %s, of the lost history: Redis %v, standby %v", s.At(), r, b)
				}
				return err == nil
			}
			testenv.Eventually(t, patience, "the primary is found", forked)
			for range 20 {
				n.primary.Exec(t, "SELECT pg_switch_wal()")
				n.primary.Exec(t, "SELECT heartbeat()") // in the place of the lost ones
				forked()
			}
			if at := n.watch.Ask(t.Context()).At(); at.LSN < standby.At.LSN {
				t.Errorf("the primary is at %s and has not grown past %s", at, standby.At)
			}
		})
	}
}

// R6: after a plain restart of the primary, Redis is believed by its last commit before any replicator has come back,
// and the standby as soon as it follows. What was copied from the present run is believed at once.
func TestAfterAPlainRestartTheSourcesAreBelieved_R6(t *testing.T) {
	n := startNodes(t)
	redis := n.copied(t)
	generation := n.watch.State().Generation
	n.primary.Kill(t)
	n.primary.Start(t)
	n.watch.await(t, "the restart is noticed", func(s *State) bool { return s.Connected && s.Generation == generation+1 })
	testenv.EventuallyNoError(t, patience, "Redis is believed", func() error { return n.watch.Vouch(redis) })
	testenv.EventuallyNoError(t, patience, "the standby is believed", func() error {
		n.primary.Exec(t, "SELECT heartbeat()")
		return n.watch.Believe(t.Context(), n.sight(t))
	})
	again := n.copied(t)
	if err := n.watch.Vouch(again); err != nil {
		t.Errorf("R6: copied from this run: %v", err)
	}
	other := again
	other.Server, other.Last.At = redis.Server, other.Last.At+1
	testenv.Eventually(t, patience, "a commit that the primary does not have", func() bool { return errors.Is(n.watch.Vouch(other), ErrForked) })
}

// A connection that is lost while the server runs on changes nothing.
func TestALostConnectionIsNoOtherRun(t *testing.T) {
	n := startNodes(t)
	s := n.watch.State()
	n.primary.Exec(t, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'query-watch'")
	n.watch.await(t, "it is connected again", func(now *State) bool { return now.Connected && now.link != s.link })
	if now := n.watch.State(); now.Generation != s.Generation {
		t.Errorf("after %+v: %+v", s, now)
	}
}

// P10: a host that answers late is not taken for a host without a primary, so the read is refused.
func TestAnUnfinishedSearchIsNotBelieved_P10(t *testing.T) {
	p := testenv.StartPostgres(t)
	way := testenv.StartProxy(t, p.Addr())
	w := start(t, way.URL(p.URL("query")), way.URL(p.URL("query")))
	w.await(t, "the primary is watched", func(s *State) bool { return s.Connected })
	way.Refuse(t, true) // the connection ends
	way.Cut()
	w.await(t, "it is gone", func(s *State) bool { return !s.Connected })
	if s, err := w.Check(t.Context()); err != nil || s.Connected {
		t.Errorf("R6: refused: %+v, %v", s, err)
	}
	way.Refuse(t, false)
	way.BlackHole(true)
	if s, err := w.Check(t.Context()); !errors.Is(err, ErrUnsure) {
		t.Errorf("P10: a host that was not silent before: %+v, %v", s, err)
	}
	testenv.Eventually(t, patience, "R6: the host is known to be silent", func() bool {
		began := time.Now()
		_, err := w.Check(t.Context())
		return err == nil && time.Since(began) < reachTime
	})
	way.BlackHole(false)
	w.await(t, "it answers again", func(s *State) bool { return s.Connected })
	p.Kill(t) // the proxy takes connections and ends them
	w.await(t, "it is gone", func(s *State) bool { return !s.Connected })
	if s, err := w.Check(t.Context()); !errors.Is(err, ErrUnsure) {
		t.Errorf("P10: a host that takes connections: %+v, %v", s, err)
	}
}

// R8: with a primary that is stopped in order, and with one that is frozen, a read does not wait long.
func TestAQuestionIsBounded_R8(t *testing.T) {
	p := testenv.StartPostgres(t)
	w := start(t, p.URL("query"), p.URL("query"))
	w.await(t, "the primary is watched", func(s *State) bool { return s.Connected })
	p.Pause(t)
	testenv.Eventually(t, patience, "it does not answer", func() bool {
		began := time.Now()
		s, err := w.Check(t.Context())
		if took := time.Since(began); took > reachTime+500*time.Millisecond {
			t.Errorf("R8: a question took %v", took)
		}
		if err != nil {
			t.Errorf("R6: the server that froze has the history that it had: %v", err)
		}
		return !s.Connected
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
