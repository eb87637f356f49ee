package session

import (
	"errors"
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// ErrBusy is returned if this replicator can't take a request now.
var ErrBusy = errors.New("no rebuild can be asked of this replicator now")

// request is an operator's request for a rebuild.
type request struct {
	older  bool // also from a primary on an older timeline
	answer chan error
}

// requestError ends a session so that the next one does the requested rebuild.
type requestError struct{ request request }

func (*requestError) Error() string { return "a rebuild was asked for" }

// takenWithin is how long a request waits to be taken. After that it is gone, so that it is not taken at a takeover
// days later.
const takenWithin = 3 * time.Second

// RequestRebuild asks for a rebuild. The old epoch is served until the new one is complete. With acceptOlder, a primary
// on an older timeline than that of the read model is accepted once, and what the later timeline had is lost.
// RequestRebuild returns once the request was taken. It fails with ErrBusy if another replicator is active, a rebuild
// is under way, the replicator is paused, or Redis has no room for a second copy.
func (r *Replicator) RequestRebuild(acceptOlder bool) error {
	state := r.Status(time.Now()).State
	if state == status.Waiting || state == status.Rebuilding || state == status.Paused {
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

// takeRequest takes a request if one waits, so that this session rebuilds.
func (r *Replicator) takeRequest() {
	select {
	case q := <-r.requests:
		q.answer <- nil
		r.take(q)
	default:
	}
}

// take makes the next decision a rebuild, unless there is a reason for one already.
func (r *Replicator) take(q request) {
	if r.forced == status.Resume {
		r.forced = status.Requested
	}
	r.older = r.older || q.older
}

// forget drops a taken request when this replicator has to wait for another one. The active replicator does not know of
// it, and nobody wants it at a takeover days later.
func (r *Replicator) forget() {
	if r.forced == status.Requested {
		r.forced = status.Resume
	}
	r.older = false
}
