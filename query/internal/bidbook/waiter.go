package bidbook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
)

// waiter lets any number of requests wait for a position with one poller, which runs only while a request waits.
type waiter struct {
	probe   func(context.Context) (Position, error)
	reached func(at, minLSN lsn.Position) bool
	ended   func(error)   // is told how each probe ended; it may be nil
	every   time.Duration // between two probes
	limit   time.Duration // of one probe

	mu      sync.Mutex
	shown   lsn.Position // by the last probe
	waiting map[*waiting]struct{}
	polling bool
}

type waiting struct {
	minLSN lsn.Position
	done   chan error
	probed bool // a probe has ended since it waits
	late   bool // the next probe is the last that it waits for
}

// ErrShared marks a failure of a probe or a transaction that several lookups share, and that was reported already.
var ErrShared = errors.New("with others")

// mostWaiting is how many reads may wait for a position of one path. Each probe walks through all of them.
const mostWaiting = 1000

// hasShown says whether the last probe has reached minLSN.
func (w *waiter) hasShown(minLSN lsn.Position) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reached(w.shown, minLSN)
}

// await returns nil once a probe that began after the call has reached minLSN. It returns the error of a probe that
// failed, ErrBusy if too many reads wait already, and ErrBehind when ctx ends or patience is over. When patience is
// over, it first waits until one probe has ended.
func (w *waiter) await(ctx context.Context, minLSN lsn.Position, patience time.Duration) error {
	me := &waiting{minLSN: minLSN, done: make(chan error, 1)}
	if err := w.join(ctx, me); err != nil {
		return err
	}
	over := time.NewTimer(patience)
	defer over.Stop()
	select {
	case err := <-me.done:
		return err
	case <-over.C:
		if w.isLate(me) {
			return <-me.done // the result of the probe under way, whose time is limited
		}
	case <-ctx.Done():
		w.mu.Lock()
		delete(w.waiting, me)
		w.mu.Unlock()
	}
	return ErrBehind
}

func (w *waiter) join(ctx context.Context, me *waiting) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) >= mostWaiting {
		return ErrBusy
	}
	if w.waiting == nil {
		w.waiting = map[*waiting]struct{}{}
	}
	w.waiting[me] = struct{}{}
	if !w.polling {
		w.polling = true
		go w.poll(context.WithoutCancel(ctx)) // serves the other waiters, too, when this one has left
	}
	return nil
}

// isLate is called when a waiter's time is over. It returns false if a probe has shown that the position is not
// reached; otherwise the waiter gets the result of the probe under way.
func (w *waiter) isLate(me *waiting) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, still := w.waiting[me]; still && me.probed {
		delete(w.waiting, me)
		return false
	}
	me.late = true
	return true
}

func (w *waiter) poll(ctx context.Context) {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for w.someoneWaits() {
		w.once(ctx)
		<-tick.C
	}
}

func (w *waiter) someoneWaits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.polling = len(w.waiting) > 0
	return w.polling
}

func (w *waiter) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.limit)
	defer cancel()
	w.mu.Lock()
	asked := make([]*waiting, 0, len(w.waiting))
	for one := range w.waiting {
		asked = append(asked, one)
	}
	w.mu.Unlock()
	at, err := w.probe(ctx)
	if w.ended != nil {
		w.ended(err)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrShared, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shown = at.At
	for _, one := range asked {
		one.probed = true
		if _, still := w.waiting[one]; !still {
			continue
		}
		behind := err == nil && !w.reached(at.At, one.minLSN)
		if behind && !one.late {
			continue
		}
		delete(w.waiting, one)
		if behind {
			one.done <- ErrBehind
		} else {
			one.done <- err
		}
	}
}
