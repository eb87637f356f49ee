package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// What histories write to: few sets, so that changes meet.
const raffles = 4

var sizes = []int16{260, 265, 270}

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
// the way was what the primary held at its Read-LSN. Odd seeds have two replicators.
func TestP2P3P4P9R1NoHistoryGivesAWrongRead(t *testing.T) {
	first, count := fromEnv(t, "HISTORY_SEED", 1), fromEnv(t, "HISTORIES", 200)
	for waiting := range int64(2) {
		begin := first + (first+waiting)%2
		if begin >= first+count {
			continue
		}
		t.Run(fmt.Sprintf("%d waiting", waiting), func(t *testing.T) {
			t.Parallel()
			w := newWorker(t, 1+int(waiting))
			defer w.report(t)
			for seed := begin; seed < first+count; seed += 2 {
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
	other       *pgx.Conn // a second session
	replicators []*replicator
	oracle      *oracle
	readers     *readers
	backup      *backup
	ended       lsn.LSN // of the last history: no read since then is older, without a backup
	reads       int
	refused     int
	begun       time.Time
	spent       map[string]time.Duration
}

// replicator is a process and for how many events more it is stopped.
type replicator struct {
	*testenv.Program
	stopped int
}

func newWorker(t *testing.T, replicators int) *worker {
	t.Helper()
	db := testenv.NewDatabase(t)
	w := &worker{system: newSystem(t, db), begun: time.Now(), spent: map[string]time.Duration{}}
	var err error
	w.other, err = pgx.Connect(w.ctx, w.dbs.URL("postgres"))
	w.must(err)
	t.Cleanup(func() { w.other.Close(context.Background()) })
	w.oracle, err = newOracle(w.ctx, w.db, "oracle_"+db.Name)
	w.must(err)
	for range replicators {
		w.replicators = append(w.replicators, &replicator{Program: w.replicate()})
	}
	w.verifyAlways(t)
	w.readers = w.startReaders(2)
	return w
}

// history is one run of events.
type history struct {
	*worker
	random *rand.Rand
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
	h.goOn(1 << 10)
	var end readmodel.Checkpoint
	h.tell("equal", func() { end = h.equal() })
	h.ended = end.LSN
	h.tell("verify", func() { h.clean() })
	h.tell("judge", h.judge)
	h.tell("judge the live events", h.judgeLive)
}

// begin waits for a quiet start and now and then keeps Redis's files of it.
func (h *history) begin() {
	h.reached()
	if chosen := h.random.IntN(5) == 0; chosen || h.backup == nil { // drawn in any case: the seed gives the order
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
	h.goOn(1)
}

// goOn lets so many events go by for the stopped.
func (h *history) goOn(events int) {
	for _, r := range h.replicators {
		if r.stopped > 0 && r.stopped <= events {
			h.tell("resume", func() { r.Resume(h.t) })
		}
		r.stopped = max(r.stopped-events, 0)
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
