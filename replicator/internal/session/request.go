package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// ErrBusy is returned for a request that this replicator can't take now.
var ErrBusy = errors.New("no rebuild can be asked of this replicator now")

// request is an operator's.
type request struct {
	older  bool // also to an older timeline
	answer chan error
}

// requestError ends a session so that the next one does what was asked for.
type requestError struct{ request request }

func (*requestError) Error() string { return "a rebuild was asked for" }

// takenWithin is how long a request waits to be taken. One that nobody takes is gone: it must not happen at a
// takeover days later.
const takenWithin = 3 * time.Second

// RequestRebuild has the read model built anew, in a new epoch; the old one is served until then. With
// acceptOlder, a primary on an older timeline than the read model's is accepted once, and what the later
// timeline had is lost. It returns once the request was taken, with ErrBusy if another replicator is the active
// one or a rebuild is under way, with another error if Redis has no room for a second copy.
func (r *Replicator) RequestRebuild(acceptOlder bool) error {
	state := r.Status(time.Now()).State
	if state == status.Waiting || state == status.Rebuilding {
		return fmt.Errorf("%w: it is %s", ErrBusy, state)
	}
	q := request{older: acceptOlder, answer: make(chan error, 1)}
	late := time.NewTimer(takenWithin)
	defer late.Stop()
	select {
	case r.requests <- q:
	case <-late.C:
		return fmt.Errorf("%w: it is %s", ErrBusy, r.Status(time.Now()).State)
	}
	if err := <-q.answer; err != nil {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	return nil
}

// takeRequest makes this session rebuild if that is asked for just now.
func (r *Replicator) takeRequest() {
	select {
	case q := <-r.requests:
		q.answer <- nil
		r.take(q)
	default:
	}
}

// take makes the next decision a rebuild, unless there is a graver reason for one.
func (r *Replicator) take(q request) {
	if r.forced == status.Resume {
		r.forced = status.Requested
	}
	r.older = r.older || q.older
}

// forget drops what was asked of a replicator that then has to wait: the other one does not know of it, and at a
// takeover, days later, nobody wants it any more.
func (r *Replicator) forget() {
	if r.forced == status.Requested {
		r.forced = status.Resume
	}
	r.older = false
}
