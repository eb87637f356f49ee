package primary

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// ErrForked says that a node is of a history that the primary does not have: it followed another primary
// beyond a promotion, or the primary was restored to an older state.
var ErrForked = errors.New("of another history than the primary")

// How long a read waits for an answer of the primary. While the hosts don't answer, so that the last
// question is still open, it is short: a new primary would answer at once.
const (
	checkTime  = 100 * time.Millisecond
	silentTime = 20 * time.Millisecond
)

// Reached says whether an answer at a position holds everything up to min; the zero min is always reached.
// As long as no timeline is known, a position without a timeline is of the answer's timeline.
func (w *Watch) Reached(at, min lsn.Position) bool {
	if min == (lsn.Position{}) {
		return true
	}
	h := w.State().History
	if min.Timeline == 0 && h.Present() == 0 {
		min.Timeline = at.Timeline
	}
	return h.Reaches(at, min)
}

// Check makes sure that what is known of the primary is fresh: with an answer, or with an attempt to reach a
// primary if there is no connection or the server has ended it. A primary that came back with another history is
// noticed by that.
func (w *Watch) Check(ctx context.Context) *State {
	if s := w.State(); s.Connected && time.Since(s.asked) < freshFor && !w.link.Load().severed() {
		return s
	}
	return w.Ask(ctx)
}

// Ask asks the primary, or tries to reach one.
func (w *Watch) Ask(ctx context.Context) *State {
	limit := checkTime
	if w.silent.Load() {
		limit = silentTime
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	w.polls.wait(ctx)
	return w.State()
}

// Seek looks for a newer primary.
func (w *Watch) Seek(ctx context.Context) *State {
	if !w.State().Connected {
		return w.Ask(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	w.seeks.wait(ctx)
	return w.State()
}

// Judge says whether a node that shows a position and a heartbeat is of the present history, at once. While
// the primary has not shown the heartbeat, sure is false.
func (w *Watch) Judge(at lsn.Position, b heartbeat.Beat) (sure bool, err error) {
	s := w.State()
	if s.History.Present() == 0 {
		return false, nil
	}
	switch s.History.Judge(at) {
	case lsn.Lost:
		return true, fmt.Errorf("%w: at %s, the present timeline is %d", ErrForked, at, s.History.Present())
	case lsn.Unknown:
		// Only a promotion begins a timeline: the node follows a newer primary than the one that is watched.
		w.seeks.poke()
		return true, nil
	}
	switch w.beats.Standing(b) {
	case heartbeat.Foreign:
		return true, fmt.Errorf("%w: it shows heartbeat %s", ErrForked, b)
	case heartbeat.Newer:
		return false, nil
	}
	return true, nil
}

// Believe is Judge for a node that is one of several, of which nothing else is known: for a heartbeat that the
// primary has not shown, the primary is asked. While no primary answers, the node is believed.
func (w *Watch) Believe(ctx context.Context, at lsn.Position, b heartbeat.Beat) error {
	sure, err := w.Judge(at, b)
	if sure || !w.State().Connected {
		return err
	}
	if s := w.Ask(ctx); !s.Connected {
		return nil
	}
	if sure, err = w.Judge(at, b); !sure && err == nil {
		err = fmt.Errorf("%w: it shows heartbeat %s, the primary is at %s", ErrForked, b, w.beats.Newest())
	}
	return err
}

// Poke has the primary asked soon.
func (w *Watch) Poke() { w.polls.poke() }

// Lag is how far a node that shows a heartbeat is behind the primary. The node must be believed.
func (w *Watch) Lag(b heartbeat.Beat) time.Duration {
	now := time.Now()
	w.beats.Note(now, b)
	return w.beats.Lag(now, b)
}
