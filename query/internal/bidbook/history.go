package bidbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// Reached says whether an answer holds what a request wants.
func (c *Chain) Reached(at Position, w Want) bool {
	return c.primary.Reached(at.At, w.Min) && c.primary.Reached(at.At, w.From)
}

// settle judges the positions that a request wants by the primary's history and merges them into Min. A position that
// is lost or beyond the primary is refused before any path is asked.
func (c *Chain) settle(ctx context.Context, w Want) (Want, error) {
	if w.Min == (lsn.Position{}) && w.From == (lsn.Position{}) {
		return w, nil
	}
	begun := time.Now()
	s, err := c.primary.Check(ctx)
	if err != nil {
		return w, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if strange(s, w.Min) || strange(s, w.From) {
		s = c.primary.Seek(ctx)
	}
	if beyond(s, w.Min) || beyond(s, w.From) {
		s = c.primary.Ask(ctx)
	}
	if err := judge(s, w.From, begun); err != nil {
		if !errors.Is(err, ErrUnknownTimeline) {
			err = fmt.Errorf("%w: %w", ErrCursorLost, err)
		}
		return w, err
	}
	if err := judge(s, w.Min, begun); err != nil {
		return w, err
	}
	switch {
	case w.Min == lsn.Position{}:
		w.Min = w.From
	case w.From != lsn.Position{}:
		w.Min = s.History.Later(s.History.Resolve(w.Min), s.History.Resolve(w.From))
	}
	return w, nil
}

func strange(s *primary.State, p lsn.Position) bool {
	return p != lsn.Position{} && s.History.Judge(p) == lsn.Unknown
}

// beyond says whether a position on the present timeline is beyond what a connected primary has flushed.
func beyond(s *primary.State, p lsn.Position) bool {
	h := s.History
	return s.Connected && h.Resolve(p).Timeline == h.Present() && p.LSN > s.Flushed
}

// beyond returns the error for a request that wants more than the primary says it has. This service has given out the
// first page's position, so if the primary does not reach that position, it has lost it.
func (c *Chain) beyond(w Want, at Position, err error) error {
	if !c.primary.Reached(at.At, w.From) {
		return fmt.Errorf("%w: %w", ErrCursorLost, err)
	}
	return err
}

// judge says what is wrong with a position that a request names. If the primary's last answer is older than the
// request, the position may have been flushed since, so it is not ErrBeyond.
func judge(s *primary.State, p lsn.Position, begun time.Time) error {
	if p == (lsn.Position{}) {
		return nil
	}
	switch s.History.Judge(p) {
	case lsn.Lost:
		return fmt.Errorf("%w: %s, the present timeline is %d", ErrLost, p, s.History.Present())
	case lsn.Unknown:
		return fmt.Errorf("%w: %s, the present timeline is %d", ErrUnknownTimeline, p, s.History.Present())
	}
	if beyond(s, p) && s.AskedSince(begun) {
		return fmt.Errorf("%w: it is at %s, wanted is %s", ErrBeyond, s.At(), p)
	}
	return nil
}
