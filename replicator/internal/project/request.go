package project

import (
	"errors"
	"fmt"
)

// ErrBusy is returned for a request that this replicator can't take now.
var ErrBusy = errors.New("no rebuild can be asked of this replicator now")

// errRequested ends a session so that the next one rebuilds.
var errRequested = errors.New("a rebuild was asked for")

// RequestRebuild has the read model built anew, in a new epoch; the old one is served until then. It
// returns at once, with ErrBusy if another replicator is the active one or a rebuild is under way.
func (r *Replicator) RequestRebuild() error {
	var state State
	r.board.update(func() { state = r.board.status.State })
	if state == Waiting || state == Rebuilding {
		return fmt.Errorf("%w: it is %s", ErrBusy, state)
	}
	select {
	case r.requests <- struct{}{}:
	default: // it is asked for already
	}
	return nil
}

// takeRequest makes this session rebuild if that was asked for while there was none.
func (r *Replicator) takeRequest() {
	select {
	case <-r.requests:
		r.request()
	default:
	}
}

// request makes the next decision a rebuild, unless there is a graver reason for one.
func (r *Replicator) request() {
	if r.forced == Resume {
		r.forced = Requested
	}
}
