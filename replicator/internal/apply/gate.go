package apply

import (
	"context"
	"log/slog"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const (
	// If no commit waits for a standby, the primary is asked again after freeFor. A standby that becomes synchronous
	// counts from then on. A node's agent lets it be promoted only later, after its next look at the server.
	freeFor = 50 * time.Millisecond
	// The pauses between two questions grow with the time that something is held.
	leastPause = time.Millisecond
	mostPause  = 20 * time.Millisecond
)

// Gate holds back what a promotion could take back (P14). The stream has a commit as soon as the primary has flushed it,
// but the primary shows the commit, and answers its client, only once the synchronous standbys have flushed it, too. If
// a standby without the commit is promoted, the commit is lost, and the ids of its bids are given to other bids.
//
// The gate knows up to where the standbys have flushed the log and asks only about what is beyond that, so a backlog
// costs few questions.
type Gate struct {
	standbys *wal.Standbys
	board    *status.Board
	log      *slog.Logger

	flushed    lsn.LSN   // by the synchronous standbys
	free       time.Time // until then no commit waits for a standby
	unfinished lsn.LSN   // the transaction that the last batch left unfinished, by the beginning of its commit record
	end        lsn.LSN   // a position after that record
	since      time.Time // when the gate began to hold; zero: it holds nothing
	told       bool      // the log says that it holds
}

// NewGate makes a gate, which takes over the standbys.
func NewGate(standbys *wal.Standbys, board *status.Board, log *slog.Logger) *Gate {
	return &Gate{standbys: standbys, board: board, log: log}
}

// Close closes the gate. What it holds is not written.
func (g *Gate) Close() error {
	g.board.Holds(time.Time{})
	return g.standbys.Close()
}

// Await waits until a position may be shown.
func (g *Gate) Await(ctx context.Context, at lsn.LSN) error {
	for {
		if passed, err := g.lets(ctx, at, 0); passed || err != nil {
			return err
		}
		if err := sleep.For(ctx, g.pause()); err != nil {
			return err
		}
	}
}

// lets says whether a batch may be written now, by what Batch.Ends returns. It asks the primary once at most.
func (g *Gate) lets(ctx context.Context, at, unfinished lsn.LSN) (bool, error) {
	if !g.knows(at, unfinished) {
		if err := g.ask(ctx, unfinished); err != nil {
			return false, err
		}
	}
	passed := g.knows(at, unfinished)
	if passed {
		g.release()
	} else {
		g.hold()
	}
	return passed, nil
}

// knows says whether a batch may be written by what is known.
func (g *Gate) knows(at, unfinished lsn.LSN) bool {
	if time.Now().Before(g.free) {
		return true
	}
	if unfinished != 0 {
		at = g.end
	}
	return at <= g.flushed && (unfinished == 0 || unfinished == g.unfinished)
}

// ask asks how far the log is flushed. The stream tells where a transaction ends only after all of its rows. It sends
// nothing of a transaction before the primary has flushed its commit, so the position that the primary has flushed now
// is after its end.
func (g *Gate) ask(ctx context.Context, unfinished lsn.LSN) error {
	f, err := g.standbys.Ask(ctx)
	if err != nil {
		return err
	}
	g.flushed, g.free = max(g.flushed, f.Standbys), time.Time{}
	if !f.Awaited {
		g.free = time.Now().Add(freeFor)
	}
	if unfinished != 0 && unfinished != g.unfinished {
		g.unfinished, g.end = unfinished, f.Primary
	}
	return nil
}

func (g *Gate) hold() {
	if g.since.IsZero() {
		g.since = time.Now()
		g.board.Holds(g.since)
	}
	if !g.told && time.Since(g.since) >= status.LongHeld {
		g.told = true
		g.log.Warn("waits for the synchronous standby: Redis is not given what the standby has not flushed", "flushed", g.flushed.String())
	}
}

func (g *Gate) release() {
	if g.since.IsZero() {
		return
	}
	if g.told {
		g.log.Info("no longer waits for the synchronous standby", "seconds", time.Since(g.since).Seconds())
	}
	g.forget()
}

// forget begins anew with what is held, because from now on something else than a standby is waited for.
func (g *Gate) forget() {
	g.since, g.told = time.Time{}, false
	g.board.Holds(g.since)
}

// pause is how long to wait before lets is called again.
func (g *Gate) pause() time.Duration {
	return min(max(time.Since(g.since)/4, leastPause), mostPause)
}
