package apply

import (
	"errors"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
)

// ErrForgot says that the primary lacks a commit that Redis holds, because the primary was restored or another server
// took its place.
var ErrForgot = errors.New("the primary does not have a commit that Redis holds")

// origin proves that the stream continues the history that Redis holds (P10). The stream starts at the beginning of the
// commit record of the last transaction in Redis. So the first transaction of the stream must be this last one, and it
// is skipped. The slot still has it, because no position behind the beginning of its commit record was confirmed.
type origin struct {
	last     projection.Commit
	unproven bool
}

// originOf returns the origin of a checkpoint. If the checkpoint has no commit, no transaction of the slot
// was applied yet. Then nothing needs proof, because the stream starts where the slot was made.
func originOf(c readmodel.Checkpoint) origin {
	return origin{last: projection.Commit{Begins: c.Commit, At: c.CommitAt}, unproven: c.Commit != 0}
}

// begin says whether Redis holds a transaction already. Redis holds everything up to held, so any transaction before
// held, except the last one in Redis, proves another history.
func (o *origin) begin(c projection.Commit, held lsn.LSN) (skip bool, err error) {
	switch {
	case o.unproven && c == o.last:
		o.unproven = false
		return true, nil
	case o.unproven || c.Begins < held:
		return false, fmt.Errorf("%w: the commit record of the last transaction in Redis is at %s, of time %d; the primary has one at %s, of time %d",
			ErrForgot, o.last.Begins, o.last.At, c.Begins, c.At)
	}
	return false, nil
}

// position fails if the server has passed the last transaction in Redis without sending it.
func (o *origin) position(at lsn.LSN) error {
	if !o.unproven {
		return nil
	}
	return fmt.Errorf("%w: no transaction has its commit record at %s, and the primary has sent everything up to %s", ErrForgot, o.last.Begins, at)
}
