package primary

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

var (
	// ErrForked says that a node is of a history that the primary does not have: it followed another primary
	// beyond a promotion, or the primary was restored to an older state.
	ErrForked = errors.New("of another history than the primary")
	// ErrUnproven says that a node has not shown yet that it is of the primary's history.
	ErrUnproven = errors.New("not yet known to be of the primary's history")
	// ErrUnsure says that it was not found out in time whether another primary runs.
	ErrUnsure = errors.New("the primary is being looked for")
)

// How long a read waits for an answer of the primary, and for the end of a search for one.
const (
	checkTime = 100 * time.Millisecond
	reachTime = time.Second
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

// Check makes sure that the state is of the primary that runs now, or that none answers now. As long as the server
// has not ended the connection, it is the server that answered before. Otherwise a search that begins after the call
// must find a primary, or must find that each host refuses, is a standby, or is as silent as before. ErrUnsure means
// that the search has not ended in time, so that no node may be believed.
func (w *Watch) Check(ctx context.Context) (*State, error) {
	s := w.State()
	switch {
	case len(w.hosts) == 0:
		return s, nil
	case !s.Connected, s.link.severed():
		return w.reach(ctx)
	case time.Since(s.asked) < freshFor:
		return s, nil
	}
	return w.Ask(ctx), nil
}

func (w *Watch) reach(ctx context.Context) (*State, error) {
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	for w.polls.wait(ctx) {
		if s := w.State(); s.Connected || w.absent.Load() {
			return s, nil
		}
	}
	return w.State(), ErrUnsure
}

// Ask asks the primary and returns what is known when it has answered, or after checkTime.
func (w *Watch) Ask(ctx context.Context) *State {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
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

// Sight is what a database node shows: its position, its newest heartbeat, and when its server was started.
type Sight struct {
	At      lsn.Position
	Beat    heartbeat.Beat
	Started time.Time
	Primary bool // it takes writes
}

// errNewer says that the primary had not shown the node's heartbeat when it was asked last.
var errNewer = fmt.Errorf("%w: the primary has not shown its heartbeat", ErrUnproven)

// Believe says whether a database node is of the primary's history. A standby must have shown a heartbeat that the
// primary has written since its last start. On an older timeline any known heartbeat is enough, because the history
// of timelines bounds the position. As long as no primary was ever seen, every node is believed.
func (w *Watch) Believe(ctx context.Context, n Sight) error {
	err := w.judge(w.State(), n)
	if !errors.Is(err, errNewer) || !w.State().Connected {
		return err
	}
	return w.judge(w.Ask(ctx), n)
}

func (w *Watch) judge(s *State, n Sight) error {
	settled, err := w.judgePosition(s, n.At)
	if settled || err != nil {
		return err
	}
	standing := w.beats.Standing(n.Beat)
	present := n.At.Timeline == s.History.Present()
	follows := standing == heartbeat.Known && n.Beat.Number > s.mark
	switch {
	case standing == heartbeat.Foreign:
		return fmt.Errorf("%w: it shows heartbeat %s", ErrForked, n.Beat)
	case n.Primary, s.Generation == 0, !present && standing == heartbeat.Known:
		return nil
	case present && w.known.has(s.Generation, n.Started.UnixMicro()):
		return nil
	case present && follows:
		w.known.add(s.Generation, n.Started.UnixMicro())
		return nil
	case standing == heartbeat.Newer:
		return fmt.Errorf("%w: %s, the primary is at %s", errNewer, n.Beat, w.beats.Newest())
	}
	return fmt.Errorf("%w: it shows heartbeat %s, wanted is one after %d", ErrUnproven, n.Beat, s.mark)
}

// judgePosition says what the history of timelines tells of a position; settled means that nothing else need be
// asked.
func (w *Watch) judgePosition(s *State, at lsn.Position) (settled bool, err error) {
	if s.History.Present() == 0 {
		return true, nil
	}
	switch s.History.Judge(at) {
	case lsn.Lost:
		return true, fmt.Errorf("%w: at %s, the present timeline is %d", ErrForked, at, s.History.Present())
	case lsn.Unknown:
		// Only a promotion begins a timeline, so the node follows a newer primary than the watched one.
		w.seeks.poke()
		return true, nil
	}
	return false, nil
}

// Copy is what Redis shows: its position, its newest heartbeat, its last transaction, and when the server that it was
// copied from was started, in microseconds.
type Copy struct {
	At     lsn.Position
	Beat   heartbeat.Beat
	Last   Commit
	Server int64
}

// Vouch says at once whether Redis is of the primary's history. A Redis that was copied from the primary's present
// run is, because a replicator proves that before it begins. Otherwise the primary must have the last transaction of
// Redis, which the watch asks in the background. As long as no primary was ever seen, Redis is believed.
func (w *Watch) Vouch(c Copy) error {
	s := w.State()
	if !s.Connected {
		w.want(c.Last) // for the moment when a primary is found
	}
	settled, err := w.judgePosition(s, c.At)
	if settled || err != nil {
		return err
	}
	standing := w.beats.Standing(c.Beat)
	switch {
	case standing == heartbeat.Foreign:
		return fmt.Errorf("%w: it shows heartbeat %s", ErrForked, c.Beat)
	case s.Generation == 0, c.At.Timeline != s.History.Present() && standing == heartbeat.Known:
		return nil
	case c.Server == s.started, c.Server > s.started && !s.Connected: // of a later run than the last that was seen
		return nil
	case c.Last == Commit{}:
	case c.Last == s.proven:
		return nil
	case c.Last == s.denied:
		return fmt.Errorf("%w: the primary has no commit at %s", ErrForked, c.Last.Begins)
	}
	w.want(c.Last)
	w.polls.poke()
	return fmt.Errorf("%w: the primary has not told whether it has the commit at %s", ErrUnproven, c.Last.Begins)
}

// want makes the next question to the primary ask for a commit, too.
func (w *Watch) want(c Commit) {
	if was := w.wanted.Load(); c != (Commit{}) && (was == nil || *was != c) {
		w.wanted.Store(&c)
	}
}

// Lag is how far a node that shows a heartbeat is behind the primary. The node must be believed.
func (w *Watch) Lag(b heartbeat.Beat) time.Duration {
	now := time.Now()
	w.beats.Note(now, b)
	return w.beats.Lag(now, b)
}
