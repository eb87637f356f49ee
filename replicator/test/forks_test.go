package test

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/testenv"
)

// chooseFork chooses how the primary's line forks in a history: the standby is promoted while the primary is dead,
// frozen or cut off, or the primary is restored from a copy of the beginning of the history.
func (h *history) chooseFork() func(*history) {
	switch h.random.IntN(6) {
	case 0:
		return func(h *history) { h.promote("dead") }
	case 1:
		return func(h *history) { h.promote("frozen") }
	case 2:
		return func(h *history) { h.promote("cut off") }
	}
	at, slots := h.lsn(), h.random.IntN(2) == 0
	h.must(h.oracle.present().pull(h.ctx))
	copied := h.pair.nodes[h.pair.primary].Backup(h.t)
	return func(h *history) { h.restorePrimary(copied, at, slots) }
}

// promote promotes the standby. The old primary comes back later, takes writes and makes commits of its own. At last it
// joins the new primary as its standby.
func (h *history) promote(how string) {
	h.settle()
	h.clients.rest()
	oldPrimary, standby := h.pair.nodes[h.pair.primary], h.pair.standby()
	way := h.pair.ways[h.pair.primary]
	standby.WaitReplay(h.t)
	loses := how != "cut off" && h.random.IntN(2) == 0
	if loses {
		h.tell("commits that the standby does not get", func() {
			standby.Kill(h.t)
			h.exec(insertFew, 1+h.random.IntN(40))
			if h.random.IntN(2) == 0 {
				h.reached()
			}
		})
	}
	left := h.oracle.present()
	h.must(left.pull(h.ctx))
	h.tell("the primary is "+how, func() {
		switch how {
		case "dead":
			oldPrimary.Kill(h.t)
		case "frozen":
			oldPrimary.Pause(h.t)
		default:
			way.BlackHole(true)
		}
	})
	if loses {
		standby.Start(h.t)
	}
	begun := time.Now()
	h.told = append(h.told, begun.Format("05.000")+" promotion")
	standby.Promote(h.t)
	h.pair.primary = 1 - h.pair.primary
	h.pair.present.Store(standby)
	h.joinBranch(standby.Timeline(h.t), h.switchPoint(standby), begun)
	h.continueStream(standby)
	h.onTheRightLine(begun, 0)
	h.after(1+h.random.IntN(3), "the old primary is back", func() {
		switch how {
		case "dead":
			oldPrimary.Start(h.t)
		case "frozen":
			oldPrimary.Resume(h.t)
		default:
			way.BlackHole(false)
		}
		oldPrimary.Exec(h.t, insertFew, 1+h.random.IntN(500))
		h.pullFrom(left, oldPrimary)
		h.after(1+h.random.IntN(5), "the old primary joins the new one", func() {
			h.pullFrom(left, oldPrimary)
			oldPrimary.Kill(h.t)
			oldPrimary.Rejoin(h.t, standby)
			h.pair.alone = false
		})
	})
}

// continueStream makes the slot of a promoted node, or makes it too late, or not at all.
func (h *history) continueStream(promoted *testenv.Postgres) {
	way := h.random.IntN(4)
	if way == 0 {
		return
	}
	if way == 1 {
		promoted.Exec(h.t, insertFew, 1+h.random.IntN(10))
	}
	h.told = append(h.told, time.Now().Format("05.000")+" a slot of the new timeline")
	promoted.Exec(h.t, "SELECT wal.continue_stream()")
}

// pullFrom pulls what was committed on a branch that was left.
func (h *history) pullFrom(b *branch, node *testenv.Postgres) {
	b.db = h.dial(node) // the former connection did not survive
	h.must(b.pull(h.ctx))
}

// switchPoint returns where the node's timeline begins, as the server says.
func (h *history) switchPoint(node *testenv.Postgres) lsn.LSN {
	timeline := node.Timeline(h.t)
	var text string
	h.must(h.dial(node).QueryRow(h.ctx, fmt.Sprintf("SELECT pg_read_file('pg_wal/%08X.history')", timeline)).Scan(&text))
	lines := regexp.MustCompile(`(?m)^(\d+)\t([0-9A-F]+/[0-9A-F]+)`).FindAllStringSubmatch(text, -1)
	last := lines[len(lines)-1]
	if parent, err := strconv.Atoi(last[1]); err != nil || parent >= int(timeline) {
		h.t.Fatalf("history of timeline %d: %s", timeline, text)
	}
	at, err := lsn.Parse(last[2])
	h.must(err)
	return at
}

// restorePrimary replaces the primary by a copy of the beginning of the history. The copy grows past what Redis holds.
// The standby has followed the lost line, so it is made anew later.
func (h *history) restorePrimary(copied *testenv.Backup, at lsn.LSN, slots bool) {
	h.settle()
	h.clients.rest()
	h.exec(insertFew, 1+h.random.IntN(40)) // these commits are lost
	if h.random.IntN(2) == 0 {
		h.reached()
	}
	primary, standby, way := h.pair.nodes[h.pair.primary], h.pair.standby(), h.pair.ways[h.pair.primary]
	left := h.oracle.present()
	h.must(left.pull(h.ctx))
	grows := h.random.IntN(3) > 0
	if grows { // before a replicator connects to it
		way.Refuse(h.t, true)
	}
	begun := time.Now()
	var before readmodel.Checkpoint
	h.tell("restore the primary", func() {
		primary.Kill(h.t)
		primary.Restore(h.t, copied)
		if c, err := h.checkpoint(); err == nil {
			before = c
		}
		if !slots {
			primary.RemoveSlots(h.t)
		}
		primary.Start(h.t)
	})
	h.joinBranch(primary.Timeline(h.t), at, begun)
	h.exec("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", left.slot)
	if grows {
		h.tell("grow past the checkpoint", func() {
			for h.lsn() <= before.LSN {
				h.exec(insertFew, 500)
			}
		})
		way.Refuse(h.t, false)
	}
	var lost readmodel.Epoch // an epoch with commits that the primary lacks can't become right
	if before.Commit >= at {
		lost = before.Epoch
	}
	h.onTheRightLine(begun, lost)
	h.after(1+h.random.IntN(6), "the standby is made anew", func() {
		standby.Kill(h.t)
		standby.Rejoin(h.t, primary)
		h.pair.alone = false
	})
}

// joinBranch makes the oracle and the clients follow the new branch.
func (h *history) joinBranch(timeline uint32, at lsn.LSN, begun time.Time) {
	h.t.Helper()
	h.backup.left, h.pair.alone = true, true
	h.reconnect()
	h.must(h.oracle.fork(h.ctx, h.dial(h.pair.nodes[h.pair.primary]), timeline, at, begun))
	h.oracle.present().awaitSeen(h.ctx, h.readers, h.startOf(h.pair.nodes[h.pair.primary]))
	h.clients.fork(at)
	h.pair.front.SetTarget(h.pair.nodes[h.pair.primary].Addr())
	h.pair.front.Cut()
}

// onTheRightLine waits until Redis holds what the new line holds, and then lets the clients work again, so that no
// request is open while a line is left. An epoch with commits of the lost line must have been replaced.
func (h *history) onTheRightLine(begun time.Time, lost readmodel.Epoch) {
	h.tell("a checkpoint on the right line", func() {
		want := h.oracle.present()
		at := h.lsn()
		testenv.EventuallyNoError(h.t, patience, "a checkpoint on the right line", func() error {
			c, err := h.checkpoint()
			if err == nil && (c.Timeline != want.timeline || c.LSN < at || c.Applying || c.Epoch <= lost) {
				err = fmt.Errorf("it is %s, want %d-%s", c, want.timeline, at)
			}
			return err
		})
	})
	h.slowest = max(h.slowest, time.Since(begun))
	// The records of the clients don't tell the lost line from the new one on the same timeline, and a read without a
	// Min-LSN may be of the lost line until query knows the new one. The oracle knows how long that may take.
	h.tell("query knows the primary", func() { h.must(<-h.oracle.present().seen) })
	h.clients.goOn()
}

// startOf returns when a server was started, as in query's metrics.
func (h *history) startOf(node *testenv.Postgres) (seconds float64) {
	h.must(h.dial(node).QueryRow(h.ctx, "SELECT extract(epoch FROM pg_postmaster_start_time())::float8").Scan(&seconds))
	return seconds
}

// awaitSeen notes when query knows the server that was started at start as the primary of the branch's timeline.
func (b *branch) awaitSeen(ctx context.Context, r *readers, start float64) {
	seen := make(chan error, 1)
	b.seen = seen
	go func() {
		for {
			primary, err := r.watches(ctx)
			if err != nil || primary.timeline == b.timeline && math.Abs(primary.start-start) < 1e-5 {
				now := time.Now()
				b.noticed.Store(&now)
				seen <- err
				return
			}
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
				seen <- ctx.Err()
				return
			}
		}
	}()
}

// watched is the primary that query saw last.
type watched struct {
	timeline uint32
	start    float64
}

func (r *readers) watches(ctx context.Context) (w watched, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.metrics, nil)
	if err != nil {
		return w, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		return w, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "query_primary_timeline":
			w.timeline = uint32(number)
		case name == "query_primary_start_time_seconds":
			w.start = number
		}
	}
	return w, lines.Err()
}
