package session

import (
	"context"
	"errors"

	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/pause"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
)

// errResumed ends a session that has waited for the end of a pause. The next one decides anew, because what this one
// knows of the primary is old.
var errResumed = errors.New("the pause has ended")

// rest returns at once unless an operator has ordered a pause. Then nothing is rebuilt: it waits for the end of the pause
// and returns errResumed. A checkpoint that must not be served is gone by now.
func (s *session) rest(ctx context.Context, guard *sink.Writer) error {
	for waited := false; ; waited = true {
		p, err := pause.Read(ctx, s.redis)
		switch {
		case err != nil:
			return err
		case p == nil && waited:
			s.log.Info("resumed")
			return errResumed
		case p == nil:
			return nil
		case p.Taken != s.token:
			if err := guard.Write(guard.Value(), func(c *resp.Commands) { pause.AppendTaken(c, *p, s.token) }); err != nil {
				return err
			}
			s.log.Warn("paused: the rebuild waits until an operator resumes it", "rebuild_for", s.reason, "reason", p.Reason)
			s.board.Rest(*p)
		default:
			// Redis may have lost the data meanwhile, or another replicator may have taken over.
			if err := guard.Verify(); err != nil {
				return err
			}
		}
		if err := sleep.For(ctx, pause.LookEvery); err != nil {
			return err
		}
	}
}
