package test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

func TestSecondTakesOverFromAKilledAndFromAStoppedOne_P9(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	first := s.replicate()
	s.reached()
	token := func() string { c, err := s.checkpoint(); s.must(err); return c.Token }
	held := token()
	s.Program = nil
	second := s.replicate()
	testenv.Eventually(t, patience, "the second waits", func() bool { return s.report().State == status.Waiting })
	stop := s.load()
	if token() != held {
		t.Error("the second did not wait")
	}
	first.Pause(t)
	testenv.Eventually(t, 10*time.Second, "the second takes over from the stopped one", func() bool { return token() != held })
	first.Resume(t)
	testenv.Eventually(t, patience, "the first is fenced off", func() bool {
		return strings.Contains(first.Output(), "holds the lock, waiting")
	})
	held = token()
	second.Kill(t)
	testenv.Eventually(t, 10*time.Second, "the first takes over from the killed one", func() bool { return token() != held })
	stop()
	s.equal()
}

// P9: if a replicator is stopped within a copy, its session still locks the table. Its successor ends that session.
func TestTheSuccessorEndsTheCopyOfAStoppedReplicator_P9(t *testing.T) {
	t.Parallel()
	s := newSystem(t, testenv.NewDatabase(t))
	// The copy stops in the middle of the products, because Redis is stopped.
	s.exec(`INSERT INTO products (name, model, color, category, image_url, release_price, release_date)
		SELECT 'shoe', 'm', 'red', 'sneaker', '/', 1, date '2026-01-01' FROM generate_series(1, 50000) i`)
	first := s.replicate()
	testenv.Eventually(t, patience, "the slot", func() bool { return s.slots() == 1 })
	s.server.Pause(t)
	testenv.Eventually(t, patience, "the copy of the products", func() bool {
		return s.count(`SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
			WHERE relation = 'products'::regclass AND application_name = 'replicator-copy'`) > 0
	})
	first.Pause(t)
	s.server.Resume(t)
	s.Program = nil
	s.replicate()
	s.exec("SET lock_timeout = '30s'; LOCK TABLE products; RESET lock_timeout")
	s.equal()
	first.Kill(t)
}

// stops is how often the working replicator is stopped.
const stops = 25

// P9, P2, R1: the working replicator is stopped at any moment, mostly in the middle of a write or a rebuild. Its
// sessions end as if their time was over, and the second replicator takes over. Then the first one wakes up and
// continues what it was about to do, and they change parts. Every read meanwhile is judged.
func TestAStoppedReplicatorWritesNothingAfterItsSuccessor_P9(t *testing.T) {
	t.Parallel()
	const seed = 20261124
	random := rand.New(rand.NewPCG(seed, 9))
	w := newWorker(t, 2)
	working, waiting := w.replicators[0], w.replicators[1]
	waits := func(r *replicator) bool { return strings.Contains(r.Output(), "waiting") }
	testenv.Eventually(t, patience, "one of them waits", func() bool { return waits(working) || waits(waiting) })
	if waits(working) { // they were started together: either can be the first
		working, waiting = waiting, working
	}
	stop := w.load()
	for range stops {
		w.reached()
		if random.IntN(4) == 0 { // now it is stopped during a rebuild
			w.must(w.redis.FlushAll(w.ctx).Err())
		}
		rest(random, 60)
		working.Pause(t)
		held, _ := w.checkpoint()
		w.endSessions()
		testenv.Eventually(t, patience, "the other takes over", func() bool {
			c, err := w.checkpoint()
			return err == nil && c.Token != held.Token
		})
		rest(random, 20)
		working.Resume(t)
		working, waiting = waiting, working
	}
	stop()
	w.equal()
	w.answered()
	w.judge()
	w.histories = stops // enough expects quiet reads for each takeover
	w.enough()
	w.report(t)
}

// endSessions ends at once what the server ends by itself 5 s after a replicator was stopped: the session that holds
// the lock, and the walsender.
func (s *system) endSessions() {
	s.t.Helper()
	s.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND (application_name = 'replicator'
		OR pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted))`)
}

// rest waits for less than most milliseconds.
func rest(random *rand.Rand, most int) {
	<-time.After(time.Duration(random.IntN(most)) * time.Millisecond)
}
