package bidbook

import (
	"fmt"
	"sync/atomic"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// Timelines is the history of the primary's timelines, as far as this process knows it. Positions are
// compared with it only.
type Timelines struct{ history atomic.Pointer[lsn.History] }

// History returns the history; it knows no timeline until one was learned.
func (t *Timelines) History() lsn.History {
	if h := t.history.Load(); h != nil {
		return *h
	}
	return lsn.History{}
}

// Learn replaces the history by a later one.
func (t *Timelines) Learn(h lsn.History) { t.history.Store(&h) }

// reached says whether an answer at a position holds everything up to min; the zero min is always reached.
// As long as no timeline is known, a position without a timeline is of the answer's timeline.
func (t *Timelines) reached(at, min lsn.Position) bool {
	if min == (lsn.Position{}) {
		return true
	}
	h := t.History()
	if min.Timeline == 0 && h.Present() == 0 {
		min.Timeline = at.Timeline
	}
	return h.Reaches(at, min)
}

// Reached says whether an answer holds what a request wants.
func (c *Chain) Reached(at Position, w Want) bool {
	return c.timelines.reached(at.At, w.Min) && c.timelines.reached(at.At, w.From)
}

// settle judges the positions that a request wants and makes one of them.
func (c *Chain) settle(w Want) (Want, error) {
	h := c.timelines.History()
	if err := judge(h, w.From, ErrCursorLost); err != nil {
		return w, err
	}
	if err := judge(h, w.Min, ErrLost); err != nil {
		return w, err
	}
	switch {
	case w.Min == lsn.Position{}:
		w.Min = w.From
	case w.From != lsn.Position{}:
		w.Min = h.Later(h.Resolve(w.Min), h.Resolve(w.From))
	}
	return w, nil
}

func judge(h lsn.History, p lsn.Position, lost error) error {
	if p == (lsn.Position{}) {
		return nil
	}
	switch h.Judge(p) {
	case lsn.Lost:
		return fmt.Errorf("%w: %s, the present timeline is %d", lost, p, h.Present())
	case lsn.Unknown:
		return fmt.Errorf("%w: %s, the present timeline is %d", ErrUnknownTimeline, p, h.Present())
	}
	return nil
}

// beyond says that a request wants more than the primary has. A first page's position was given by this
// service, so the primary has lost it.
func (c *Chain) beyond(w Want, at Position) error {
	if !c.timelines.reached(at.At, w.From) {
		return fmt.Errorf("%w: %s, the primary is at %s", ErrCursorLost, w.From, at.At)
	}
	return fmt.Errorf("%w: it is at %s, wanted is %s", ErrBeyond, at.At, w.Min)
}
