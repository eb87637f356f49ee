package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// What histories write to: few sets, so that changes meet.
const raffles = 4

var sizes = []int16{260, 265, 270}

// workers run histories side by side: most of the time of each goes by in waiting for others.
const workers = 2

// fromEnv is a number that the caller of go test may choose.
func fromEnv(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text, ok := os.LookupEnv(name)
	if !ok {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		t.Fatalf("%s must be a positive number, not %q", name, text)
	}
	return n
}

// HISTORIES histories, 200 by default, each with the order of changes and faults that its seed gives. The
// seeds begin at HISTORY_SEED. At the end of each the read model is what the primary holds; every read on
// the way was what the primary held at its Read-LSN.
func TestP2P3P4R1NoHistoryGivesAWrongRead(t *testing.T) {
	first, count := fromEnv(t, "HISTORY_SEED", 1), fromEnv(t, "HISTORIES", 200)
	next := atomic.Int64{}
	next.Store(first)
	for i := range min(workers, count) {
		t.Run(fmt.Sprintf("worker %d", i), func(t *testing.T) {
			t.Parallel()
			w := newWorker(t)
			defer w.report(t)
			for seed := next.Add(1) - 1; seed < first+count; seed = next.Add(1) - 1 {
				if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { w.run(t, seed) }) {
					return
				}
			}
		})
	}
}

// worker runs one history after the other on the same servers.
type worker struct {
	*system
	other   *pgx.Conn // a second session
	oracle  *oracle
	readers *readers
	backup  *backup
	ended   readmodel.LSN // of the last history: no read since then is older, without a backup
	reads   int
	refused int
	begun   time.Time
	spent   map[string]time.Duration
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	db := testenv.NewDatabase(t)
	w := &worker{system: newSystem(t, db), begun: time.Now(), spent: map[string]time.Duration{}}
	var err error
	w.other, err = pgx.Connect(w.ctx, w.dbs.URL("postgres"))
	w.must(err)
	t.Cleanup(func() { w.other.Close(context.Background()) })
	w.oracle, err = newOracle(w.ctx, w.db, "oracle_"+db.Name)
	w.must(err)
	w.replicate()
	w.readers = w.startReaders(2)
	return w
}

// history is one run of events.
type history struct {
	*worker
	random *rand.Rand
	paused int // events until the replicator goes on; 0: it is not stopped
	told   []string
}

func (w *worker) run(t *testing.T, seed int64) {
	was := w.t
	w.t = t
	defer func() { w.t = was }()
	h := &history{worker: w, random: rand.New(rand.NewPCG(uint64(seed), 1))}
	defer func() {
		if t.Failed() {
			t.Logf("HISTORY_SEED=%d HISTORIES=1 repeats it:\n%s", seed, strings.Join(h.told, "\n"))
		}
	}()
	h.exec("DELETE FROM bids")
	h.exec("UPDATE raffles SET closed_at = NULL, closing_price = NULL WHERE closed_at IS NOT NULL")
	h.tell("reached", func() { h.begin() })
	for range 20 + h.random.IntN(21) {
		h.event()
	}
	if h.paused > 0 {
		h.Resume(t)
	}
	h.tell("equal", func() { h.ended = h.equal().LSN })
	h.tell("judge", h.judge)
}

// begin waits for a quiet start and now and then keeps Redis's files of it.
func (h *history) begin() {
	h.reached()
	if h.backup == nil || h.random.IntN(5) == 0 {
		h.backup = h.save()
		h.oracle.forget(h.ended)
	}
}

// event does one change or fault or rests; one of a kind is as likely as any other.
func (h *history) event() {
	list := changes
	switch h.random.IntN(8) {
	case 0:
		list = faults
	case 1, 2, 3:
		list = rests
	}
	e := list[h.random.IntN(len(list))]
	h.tell(e.name, func() { e.do(h) })
	if h.paused > 0 {
		if h.paused--; h.paused == 0 {
			h.tell("resume", func() { h.Resume(h.t) })
		}
	}
}

func (h *history) tell(what string, do func()) {
	begun := time.Now()
	h.told = append(h.told, fmt.Sprintf("%s %s at %s", begun.Format("05.000"), what, h.lsn()))
	do()
	h.spent[what] += time.Since(begun)
}

// judge asks the oracle about every read since it was asked last.
func (w *worker) judge() {
	answers, refused := w.readers.take()
	w.must(w.oracle.pull(w.ctx))
	w.must(w.oracle.check(answers))
	w.reads += len(answers)
	w.refused += refused
}

func (w *worker) report(t *testing.T) {
	t.Logf("%d right reads from Redis, %d refused, %v", w.reads, w.refused, time.Since(w.begun).Round(time.Second))
	for what, d := range w.spent {
		t.Logf("  %-30s %v", what, d.Round(time.Millisecond))
	}
}
