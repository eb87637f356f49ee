package test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// worker has servers, readers, and an oracle that judges the answers. It runs one history after the other.
type worker struct {
	*system
	other       *pgx.Conn // a second session
	replicators []*replicator
	oracle      *oracle
	damages     atomic.Int64 // the number of begins and ends of damages to Redis, see verifyAlways
	pair        *pair        // nil without a standby
	conns       []*pgx.Conn
	slowest     time.Duration // the longest time from a fork to a checkpoint on the right line
	readers     *readers
	clients     *clients
	backup      *backup
	ended       []end // ends of histories that the oracle still remembers
	judged      map[string]int
	refused     map[string]int
	reasons     map[string]int // the refusals after all histories, when all was well, by reason
	most        map[string]int // the most after one history
	histories   int
	begun       time.Time
	spent       map[string]time.Duration
}

// end is where and when a history ended.
type end struct {
	lsn lsn.LSN
	at  time.Time
}

// oldest is how old an answer may be in a later history, if Redis has no backup. A standby that was killed and started
// again may be at an earlier position than before. It is read until its lag is known and is at query's STANDBY_MAX_LAG,
// 5 s.
const oldest = 10 * time.Second

// forget makes the oracle forget what no later read may show.
func (w *worker) forget() {
	for len(w.ended) > 0 && time.Since(w.ended[0].at) > oldest {
		w.oracle.forget(w.ended[0].lsn)
		w.ended = w.ended[1:]
	}
}

// replicator is a process that may be paused.
type replicator struct {
	*testenv.Program
	stopped bool
}

// newWorker makes a worker with a database on the shared cluster.
func newWorker(t *testing.T, replicators int) *worker {
	t.Helper()
	db := testenv.NewDatabase(t)
	w := &worker{system: newSystem(t, db)}
	w.prepare("oracle_"+db.Name, 1)
	for range replicators {
		w.replicators = append(w.replicators, &replicator{Program: w.replicate()})
	}
	w.verifyAlways(t, &w.damages)
	w.readers = w.startReaders(2, []string{"redis", "redis", "primary"})
	w.clients = w.startClients(2, db.URL("command"))
	return w
}

// prepare opens the second session and makes the oracle, on a primary without bids to which nobody writes yet.
func (w *worker) prepare(slot string, timeline uint32) {
	w.t.Helper()
	w.begun, w.spent = time.Now(), map[string]time.Duration{}
	w.judged, w.refused = map[string]int{}, map[string]int{}
	w.reasons, w.most = map[string]int{}, map[string]int{}
	w.connectOther()
	db, err := pgx.Connect(w.ctx, w.dbs.URL("postgres"))
	w.must(err)
	w.t.Cleanup(func() { db.Close(context.Background()) })
	w.allow()
	w.oracle, err = newOracle(w.ctx, db, slot, timeline)
	w.must(err)
}

func (w *worker) connectOther() {
	w.t.Helper()
	conn, err := pgx.Connect(w.ctx, w.dbs.URL("postgres"))
	w.must(err)
	w.other = conn
	w.t.Cleanup(func() { conn.Close(context.Background()) })
}

// judge asks the oracle about every read since judge was last called.
func (w *worker) judge() {
	w.t.Helper()
	answers, missing, refused := w.readers.take()
	w.must(w.oracle.present().pull(w.ctx))
	w.must(w.oracle.check(answers))
	w.must(w.oracle.missing(missing))
	for _, a := range answers {
		w.judged[a.forced]++
	}
	for path, n := range refused {
		w.refused[path] += n
	}
}

// quiet is how many reads of each path must be answered after a history, when all is well. It is a number of reads, not
// a time, so that a slow machine makes as many.
const quiet = 6

// slowAnswers is how many reads a path may refuse after a history for lack of time on a busy machine. The reasons are
// the budgets of 50 and 250 ms, the wait of 100 ms for a position, a breaker that has opened, and the wait for the
// heartbeat that proves what a standby shows.
const slowAnswers = 10 * quiet

// answered waits until each path has answered its quiet reads. It fails if query wrongly refuses reads. Redis may lack
// something for a few reads, while what was found at the end is reloaded: in 100 histories that was four reads at most
// after one history. Any other refusal is for lack of time.
func (w *worker) answered() {
	w.t.Helper()
	counts := func() (answers map[string]int) {
		w.readers.mu.Lock()
		defer w.readers.mu.Unlock()
		answers = map[string]int{}
		for _, a := range w.readers.answers {
			answers[a.forced]++
		}
		return answers
	}
	before := counts()
	reasonsBefore, err := w.readers.reasons()
	w.must(err)
	testenv.EventuallyNoError(w.t, patience, "each path answers", func() error {
		now := counts()
		for _, path := range w.readers.paths {
			if n := now[path] - before[path]; n < quiet {
				return fmt.Errorf("path %q has answered %d reads", path, n)
			}
		}
		return nil
	})
	reasons, err := w.readers.reasons()
	w.must(err)
	for reason, n := range reasons {
		if n -= reasonsBefore[reason]; n > 0 {
			w.reasons[reason] += n
			w.most[reason] = max(w.most[reason], n)
		}
		limit := slowAnswers
		if reason == "redis incomplete" {
			limit = quiet
		}
		if n > limit {
			w.t.Errorf("%s: %d reads were not answered although all was well", reason, n)
		}
	}
}

// enough fails if too few reads were judged to mean much.
func (w *worker) enough() {
	w.t.Helper()
	for _, path := range w.readers.paths {
		judged, refused := w.judged[path], w.refused[path]
		if judged < quiet*w.histories || refused > 2*judged {
			w.t.Errorf("path %q: %d reads judged and %d refused in %d histories", path, judged, refused, w.histories)
		}
	}
}

func (w *worker) report(t *testing.T) {
	t.Logf("%d histories in %v: right reads %v, refused %v; clients: %d writes, %d of them refused, %d reads",
		w.histories, time.Since(w.begun).Round(time.Second), w.judged, w.refused, w.clients.writes, w.clients.refused.Load(), w.clients.reads)
	t.Logf("refused after the histories, when all was well: %v; most after one: %v", w.reasons, w.most)
	if w.slowest > 0 {
		t.Logf("the slowest fork was followed after %v", w.slowest.Round(time.Millisecond))
	}
	for _, what := range slices.SortedFunc(maps.Keys(w.spent), func(a, b string) int { return int(w.spent[b] - w.spent[a]) }) {
		if w.spent[what] < 100*time.Millisecond*time.Duration(min(w.histories, 20))/10 {
			break
		}
		t.Logf("  %-45s %v", what, w.spent[what].Round(time.Millisecond))
	}
}
