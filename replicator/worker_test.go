package main

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

// worker has servers, readers before them and an oracle that judges what they were answered. It runs one
// history after the other.
type worker struct {
	*system
	other       *pgx.Conn // a second session
	replicators []*replicator
	oracle      *oracle
	damages     atomic.Int64 // begins and ends of damages to Redis, see verifyAlways
	pair        *pair        // nil without a standby
	conns       []*pgx.Conn
	slowest     time.Duration // from a fork to a checkpoint on the right line
	readers     *readers
	clients     *clients
	backup      *backup
	ended       lsn.LSN // of the last history: no read since then is older, without a backup
	judged      map[string]int
	refused     map[string]int
	histories   int
	begun       time.Time
	spent       map[string]time.Duration
}

// replicator is a process that may be stopped.
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

// prepare is for a primary without bids that nobody writes to yet.
func (w *worker) prepare(slot string, timeline uint32) {
	w.t.Helper()
	w.begun, w.spent = time.Now(), map[string]time.Duration{}
	w.judged, w.refused = map[string]int{}, map[string]int{}
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

// judge asks the oracle about every read since it was asked last.
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

// quiet is how many reads of each path must be answered after a history, when all is well. It is a number of
// reads, not a time, so that a slow machine has them too.
const quiet = 10

// answered waits until each path has answered its quiet reads. A query that has learnt to refuse what is
// right fails here. It may refuse some, ten for each answer at most: what was due when Redis had its last rebuild,
// and on a busy machine what took longer than its budget of 50 or 250 ms.
func (w *worker) answered() {
	w.t.Helper()
	counts := func() (answers, refused map[string]int) {
		w.readers.mu.Lock()
		defer w.readers.mu.Unlock()
		answers = map[string]int{}
		for _, a := range w.readers.answers {
			answers[a.forced]++
		}
		return answers, maps.Clone(w.readers.refused)
	}
	before, refusedBefore := counts()
	testenv.EventuallyNoError(w.t, patience, "each path answers", func() error {
		now, refused := counts()
		for _, path := range w.readers.paths {
			if n := now[path] - before[path]; n < quiet {
				return fmt.Errorf("path %q has answered %d reads and refused %d", path, n, refused[path]-refusedBefore[path])
			}
		}
		return nil
	})
	_, refused := counts()
	for path, n := range refused {
		if n -= refusedBefore[path]; n > 10*quiet {
			w.t.Errorf("path %q has refused %d reads although all was well", path, n)
		}
	}
}

// enough fails if too few reads were judged for the verdict to mean much.
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
