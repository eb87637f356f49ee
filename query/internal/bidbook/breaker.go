package bidbook

import (
	"cmp"
	"time"
)

// After failuresToOpen failures in a row the breaker opens, first for shortBreak and then for twice as long after
// each failed trial, up to the limit of the breaker or longBreak. A success takes half of a failure back, so that a path that fails every other
// time opens its breaker too.
const (
	failuresToOpen = 3
	shortBreak     = 250 * time.Millisecond
	longBreak      = 4 * time.Second
)

// outcome is what a use of a path says about the path.
type outcome int

const (
	worked outcome = iota
	failed
	unknown // for example because the client left
)

// breaker spares a path that keeps failing, because each failure would cost a read the path's whole budget. While it
// is open, one trial is let through after each break. It is a pure state machine; the caller holds a lock.
type breaker struct {
	halves    int // of failures; a failure counts two
	openUntil time.Time
	pause     time.Duration
	trial     bool
	limit     time.Duration // of a pause; 0: longBreak
}

func (b *breaker) open() bool { return b.halves >= 2*failuresToOpen }

// allow says whether the path may be used at the time now, and whether that use is the one trial of an open breaker.
// A caller that was allowed must call done with the same trial.
func (b *breaker) allow(now time.Time) (ok, trial bool) {
	if !b.open() {
		return true, false
	}
	if b.trial || now.Before(b.openUntil) {
		return false, false
	}
	b.trial = true
	return true, true
}

// done tells how a use ended. A use that began before the breaker opened may end late: its success closes the
// breaker, its failure changes nothing.
func (b *breaker) done(now time.Time, o outcome, trial bool) {
	if trial {
		b.trial = false
	}
	switch {
	case o == worked && b.open():
		*b = breaker{limit: b.limit}
	case o == worked:
		b.halves = max(b.halves-1, 0)
	case o == failed && !b.open():
		b.halves += 2
		if b.open() {
			b.pause = shortBreak
			b.openUntil = now.Add(b.pause)
		}
	case o == failed && trial:
		b.pause = min(2*b.pause, cmp.Or(b.limit, longBreak))
		b.openUntil = now.Add(b.pause)
	}
}
