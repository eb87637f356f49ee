package test

import (
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/verify"
)

// Histories write to few sets, so that their changes meet.
const raffles = 4

var sizes = []int16{260, 265, 270}

// TestMain runs all four workers of the histories at once, because each waits for half of its time. After them it runs, four
// at once, the tests that mostly wait and that a busy machine does not spoil. A slot waits for the open transactions of all
// databases of its cluster, so a test that keeps one open, or counts on a slot at once, has a cluster of its own.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		log.Fatal(err)
	}
	os.Exit(m.Run())
}

// fromEnv returns a number that the caller of go test may set in the environment.
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

// There are HISTORIES histories, 60 by default. The seed of each, from HISTORY_SEED on, gives the order of its changes
// and faults. At the end of each history the read model must hold what the primary holds. Every read must show what the
// primary held at its Read-LSN, and positions alone must explain what the clients were told. Histories with an odd seed
// have two replicators. Those whose seed ends in 3, 4, 7 or 8 have a standby; in those that end in 7 or 8 the standby
// is promoted or the primary is restored.
func TestNoHistoryGivesAWrongRead_P2_P3_P4_P9_P10_R1_R7(t *testing.T) {
	first, count := fromEnv(t, "HISTORY_SEED", 1), fromEnv(t, "HISTORIES", 60)
	for waiting := range 2 {
		t.Run(fmt.Sprintf("%d waiting", waiting), func(t *testing.T) {
			t.Parallel()
			for _, c := range classes {
				var seeds []int64
				for seed := first; seed < first+count; seed++ {
					if seed%2 == int64(waiting) && strings.ContainsRune(c.digits, rune('0'+seed%10)) {
						seeds = append(seeds, seed)
					}
				}
				if len(seeds) > 0 {
					t.Run(c.name, func(t *testing.T) {
						t.Parallel()
						runHistories(t, c.start(t, 1+waiting), seeds)
					})
				}
			}
		})
	}
}

// classes are the kinds of servers that histories run on.
var classes = []struct {
	name   string
	digits string // the last digits of their seeds
	start  func(t *testing.T, replicators int) *worker
}{
	{"one node", "012569", newWorker},
	{"with a standby", "3478", newPairWorker},
}

func runHistories(t *testing.T, w *worker, seeds []int64) {
	defer func() { w.enough(); w.report(t) }()
	for _, seed := range seeds {
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { w.run(t, seed) }) {
			return
		}
	}
}

// history is one run of events.
type history struct {
	*worker
	random  *rand.Rand
	told    []string
	pending []pending
	damaged []readmodel.Part // of Redis, damaged on purpose
	fork    func(*history)   // forks the primary's line in the middle of the history; nil: nothing does
}

// pending is what a history does after some more events, mostly the end of a fault.
type pending struct {
	events int
	name   string
	do     func()
}

func (w *worker) run(t *testing.T, seed int64) {
	was := w.t
	w.t = t
	defer func() { w.t = was }()
	w.histories++
	h := &history{worker: w, random: rand.New(rand.NewPCG(uint64(seed), 1))}
	defer func() {
		if t.Failed() {
			t.Logf("HISTORY_SEED=%d HISTORIES=1 repeats it:\n%s", seed, strings.Join(h.told, "\n"))
		}
	}()
	h.exec("DELETE FROM bids")
	h.exec("UPDATE raffles SET closed_at = NULL, closing_price = NULL WHERE closed_at IS NOT NULL")
	h.tell("reached", func() { h.begin() })
	if w.pair != nil && (seed%10 == 7 || seed%10 == 8) {
		h.fork = h.chooseFork()
	}
	h.clients.begin(h.lsn())
	events := 20 + h.random.IntN(21)
	forks := h.random.IntN(events)
	for i := range events {
		if i == forks && h.fork != nil {
			h.fork(h)
		}
		h.event()
	}
	h.settle()
	h.tell("the clients rest", h.clients.rest)
	h.tell("mended", h.mended)
	var served readmodel.Checkpoint
	h.tell("equal", func() { served = h.equal() })
	h.ended = append(h.ended, end{served.LSN, time.Now()})
	h.tell("answered", h.answered)
	h.tell("verify", h.verified)
	h.tell("judge", h.judge)
	h.tell("judge the clients", func() { h.must(h.clients.judge()) })
	h.tell("judge the live events", h.judgeLive)
}

// verified compares and fails if anything differs.
func (h *history) verified() {
	if r := h.verify(verify.Options{}); r.Divergent != 0 || r.Keys == 0 {
		h.t.Fatalf("%d of %d keys differ: %v", r.Divergent, r.Keys, r.Findings)
	}
}

// begin waits until all is quiet, and in some histories keeps a backup of Redis' files.
func (h *history) begin() {
	h.reached()
	if chosen := h.random.IntN(5) == 0; chosen || h.backup == nil || h.backup.left { // always drawn, for the seed's order
		h.rewritten()
		h.backup = h.save()
		h.forget()
	}
}

// event makes one change or fault, or rests. All of a kind are equally likely.
func (h *history) event() {
	list := changes
	switch n := h.random.IntN(16); {
	case n < 2 && h.pair != nil:
		list = pairFaults
	case n < 2, n == 3:
		list = slices.Concat(faults, alterations)
	case n < 9:
		list = rests
	}
	e := list[h.random.IntN(len(list))]
	h.tell(e.name, func() { e.do(h) })
	h.goOn(1)
}

// after does something when this many events have passed, or at the end of the history if that comes first.
func (h *history) after(events int, name string, do func()) {
	h.pending = append(h.pending, pending{events, name, do})
}

// goOn counts events as passed and does what is due.
func (h *history) goOn(events int) {
	due := h.pending
	h.pending = nil
	for _, p := range due {
		if p.events -= events; p.events <= 0 {
			h.tell(p.name, p.do)
		} else {
			h.pending = append(h.pending, p)
		}
	}
}

// settle ends every pending fault, and what is pending after that.
func (h *history) settle() {
	for len(h.pending) > 0 {
		h.goOn(1 << 10)
	}
	h.endPause()
}

func (h *history) tell(what string, do func()) {
	begun := time.Now()
	h.told = append(h.told, fmt.Sprintf("%s %s at %s", begun.Format("05.000"), what, h.lsn()))
	do()
	h.spent[what] += time.Since(begun)
}
