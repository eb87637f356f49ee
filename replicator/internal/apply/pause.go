package apply

import (
	"context"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/pause"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
)

// resting is what the applier knows of an operator's pause. While it rests, batches wait as they wait for the gate: the
// stream is not read any more, positions are confirmed as before, and the server keeps the WAL.
type resting struct {
	ordered *readmodel.Pause // nil: there is no pause; a copy of its own
	rests   bool             // nothing is applied
}

func copyOf(p *readmodel.Pause) *readmodel.Pause {
	if p == nil {
		return nil
	}
	own := *p
	return &own
}

// orders hands over each change of the pause, until the context ends.
func (a *applier) orders(ctx context.Context, last *readmodel.Pause, changes chan<- *readmodel.Pause) error {
	for sleep.For(ctx, pause.LookEvery) == nil {
		p, err := pause.Read(ctx, a.Redis)
		if err != nil || p == last || p != nil && last != nil && *p == *last {
			continue // the applier notices a Redis that does not answer
		}
		select {
		case changes <- p:
			last = p
		case <-ctx.Done():
		}
	}
	return nil
}

// order notes that the pause has changed: it has begun or ended, or the token is in it now.
func (a *applier) order(p *readmodel.Pause) {
	a.ordered = copyOf(p)
	if p != nil || !a.rests {
		return
	}
	a.rests = false
	a.Board.SetState(status.Streaming)
	a.again.Reset(0) // for what the gate holds
	a.Log.Info("resumed: the stream is applied again")
}

// rest begins the pause that is ordered. It waits until no transaction is half applied, because readers would leave Redis
// for as long, and until no reload runs.
func (a *applier) rest() error {
	token := a.Checkpoint.Token
	if a.ordered == nil || a.ordered.Taken == token || a.Checkpoint.Applying || a.reload != nil {
		return nil
	}
	a.rests, a.ordered.Taken = true, token
	if err := a.write(a.Checkpoint, func(c *resp.Commands) { pause.AppendTaken(c, *a.ordered, token) }); err != nil {
		return err
	}
	a.Gate.forget()
	a.Board.Rest(*a.ordered)
	a.Log.Warn("paused: nothing is applied until an operator resumes it, and the slot holds WAL back", "lsn", a.Checkpoint.Position().String(),
		"since", time.UnixMicro(a.ordered.Since).UTC(), "reason", a.ordered.Reason)
	return nil
}
