package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
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
			defer func() { w.enough(); w.report(t) }()
			for seed := begin; seed < first+count; seed += 2 {
				if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { w.run(t, seed) }) {
					return
				}
			}
		})
	}
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
	h.clients.begin(h.lsn())
	for range 20 + h.random.IntN(21) {
		h.event()
	}
	h.goOn(1 << 10)
	h.tell("the clients rest", h.clients.rest)
	var end readmodel.Checkpoint
	h.tell("equal", func() { end = h.equal() })
	h.ended = end.LSN
	h.tell("answered", h.answered)
	h.tell("verify", func() { h.clean() })
	h.tell("judge", h.judge)
	h.tell("judge the clients", func() { h.must(h.clients.judge()) })
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
