package apply

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/pause"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const (
	ackEvery  = time.Second
	idleCheck = 250 * time.Millisecond // how often the guard is read while nothing is written (P3)
	// If a server sends nothing for askAfter, it is asked to answer. After silentAfter the session ends (P13).
	askAfter    = 3 * time.Second
	silentAfter = 6 * time.Second
)

// ErrSilent ends a session whose server sends nothing although the connection is open.
var ErrSilent = errors.New("the server has sent nothing on the replication stream")

// Job is the stream of a server and the read model to which it is applied, from a checkpoint on.
type Job struct {
	Pipeline   wal.Pipeline
	Stream     *wal.Stream // started at the last commit in the checkpoint
	Server     wal.Server  // of the stream
	Confirmed  lsn.LSN     // of the slot
	Checkpoint readmodel.Checkpoint
	Writer     *sink.Writer  // guards the checkpoint
	Gate       *Gate         // of the same server
	Redis      *redis.Client // for reading
	Plain      bool          // a reload writes sets by ZADD, because Redis does not take RESTORE
	Published  wal.Published // at the beginning
	// Altered waits until the transaction xid is visible, and fails if the publication is then another one than
	// Published.
	Altered func(ctx context.Context, xid uint32) error
	Board   *status.Board
	Repairs *status.Repairs
	Clock   clock.Clock
	Spans   *tracing.Tracer // nil: no spans are made
	Log     *slog.Logger
}

// applier writes batches to Redis, one after the other.
type applier struct {
	Job
	queue   *queue
	durable *durable
	group   *errgroup.Group
	pending map[readmodel.Part]bool      // parts whose loss is noted or whose reload runs
	tried   map[readmodel.Part]time.Time // when a part may be tried again
	reload  *reload                      // nil: there is none
	held    *projection.Batch            // what the gate has not let through yet; nil: nothing
	resting
	again     *time.Timer // when the gate is to be asked again
	ask       asking
	lastFlush time.Time
	stopped   chan struct{}
}

// Run applies until an error or the end of the context.
func Run(ctx context.Context, job Job) error {
	cp := job.Checkpoint
	job.Board.Applied(cp)
	ordered, err := pause.Read(ctx, job.Redis)
	if err != nil {
		return err
	}
	now := time.Now()
	a := &applier{Job: job, queue: newQueue(cp.Epoch), durable: &durable{confirmed: job.Confirmed}, lastFlush: now,
		pending: make(map[readmodel.Part]bool), tried: make(map[readmodel.Part]time.Time), stopped: make(chan struct{}),
		again: time.NewTimer(0), ask: asking{time.NewTimer(firstAsk), firstAsk}, resting: resting{ordered: copyOf(ordered)}}
	a.durable.wrote(cp.Commit, now)
	// A pause that was ordered before holds from the beginning, so that a takeover does not end it for a moment.
	if err := a.rest(); err != nil {
		return err
	}
	if !a.rests {
		job.Board.SetState(status.Streaming)
	}

	g, ctx := errgroup.WithContext(ctx)
	a.group = g
	names, orders := make(chan []string), make(chan *readmodel.Pause)
	g.Go(func() error { return a.wanted(ctx, names) })
	g.Go(func() error { return a.orders(ctx, ordered, orders) })
	g.Go(func() error {
		return a.Stream.Run(&handler{ctx: ctx, queue: a.queue, projector: projection.NewProjector(cp.Epoch), handed: cp.LSN,
			origin: originOf(cp), spans: a.Spans != nil, published: a.Published, altered: func(xid uint32) error { return a.Altered(ctx, xid) }})
	})
	g.Go(func() error { return a.run(ctx, names, orders) })
	g.Go(func() error { return a.acknowledge(ctx) })
	return g.Wait()
}

// run writes batches, and the steps of a reload. When no batch waits, it asks the server for its position. It goes on
// with everything else while the gate holds a batch.
func (a *applier) run(ctx context.Context, names <-chan []string, orders <-chan *readmodel.Pause) error {
	defer close(a.stopped)
	defer a.ask.Stop()
	defer a.again.Stop()
	idle := time.NewTicker(idleCheck)
	defer idle.Stop()
	for {
		err := context.Cause(ctx) // a select picks at random, so a full queue could delay the end
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case a.held = <-a.next():
			err = a.pass(ctx)
		case <-a.again.C:
			err = a.pass(ctx)
		case all := <-names:
			err = a.begin(ctx, all)
		case p := <-orders:
			a.order(p)
		case p := <-a.chunks():
			err = a.chunk(p)
		case <-a.replayable():
			err = a.replay()
		case <-a.ask.C:
			err = a.askServer()
		case now := <-idle.C:
			err = a.idle(now)
		}
		if err == nil {
			err = a.rest()
		}
		if err != nil {
			return err
		}
	}
}

// idle reads the guard if nothing was written for a while.
func (a *applier) idle(now time.Time) error {
	if now.Sub(a.lastFlush) < idleCheck {
		return nil
	}
	return a.Writer.Verify()
}

// askServer asks the server for its position, unless something waits to be written.
func (a *applier) askServer() error {
	a.ask.later()
	if len(a.queue.waiting) > 0 || a.held != nil || a.rests {
		return nil
	}
	return a.Stream.Status(a.durable.confirm(time.Now()), true)
}

// next returns the channel of the next batch; nil while the gate holds one, or during a pause. So a batch that is held
// takes no more transactions, whose ends would be ever later, and the memory stays bounded.
func (a *applier) next() <-chan *projection.Batch {
	if a.held != nil || a.rests {
		return nil
	}
	return a.queue.waiting
}

// pass writes the held batch if the gate lets it through (P14).
func (a *applier) pass(ctx context.Context) error {
	b := a.held
	if b == nil || a.rests {
		return nil
	}
	at, unfinished := b.Ends()
	passed, err := a.Gate.lets(ctx, at, unfinished)
	if err != nil {
		return err
	}
	if !passed {
		a.again.Reset(a.Gate.pause())
		return nil
	}
	a.held = nil
	if b.Commits > 0 {
		a.ask.soon()
	}
	return a.apply(b)
}

// apply writes a batch with the checkpoint that it leads to. If the batch ends within a transaction, the checkpoint
// keeps its position and says that a transaction is half applied (P2).
func (a *applier) apply(b *projection.Batch) error {
	if len(b.Traced) > 0 {
		span := a.trace(b)
		defer span.End()
	}
	err := a.write(b.Checkpoint(a.Checkpoint, a.Board.PrimaryNow(a.Clock.Now())), func(c *resp.Commands) {
		b.Append(c)
		if at, keys := b.Probe(); keys > 0 {
			a.Writer.Probe = at - 1 // EXEC has no answer for the MULTI
		}
	})
	if err != nil {
		return err
	}
	lost := a.Writer.Lost
	if _, keys := b.Probe(); a.Writer.Probed < keys {
		if err := a.write(a.Checkpoint, b.AppendChecks); err != nil {
			return err
		}
		lost = append(lost, a.Writer.Lost...)
	}
	if err := a.noteLost(lost); err != nil {
		return err
	}
	a.poisonFound(b.Spoiled)
	if rl := a.reload; rl != nil {
		if rl.journal.Note(b); rl.journal.Changes > maxJournal {
			if err := a.giveUp(errJournal); err != nil {
				return err
			}
		}
	}
	if b.Commits > 0 {
		a.Board.Moved()
	}
	a.count(b)
	a.queue.release(b)
	return nil
}

// write is not interrupted by the end of the session, so that no write is cut off in the middle.
func (a *applier) write(next readmodel.Checkpoint, commands func(*resp.Commands)) error {
	begun := time.Now()
	if err := a.Writer.Write(next.String(), commands); err != nil {
		return err
	}
	now := time.Now()
	a.Board.Metrics.Flush.Observe(now.Sub(begun).Seconds())
	a.lastFlush = now
	a.Checkpoint = next
	a.durable.wrote(next.Commit, now)
	a.Board.Applied(next)
	return nil
}

func (a *applier) count(b *projection.Batch) {
	a.Board.Metrics.Changes.Observe(float64(b.Changes))
	a.Board.Metrics.Transactions.Add(float64(b.Commits))
	for table, n := range b.Rows {
		if n > 0 {
			a.Board.Metrics.Rows.WithLabelValues(tables.Table(table).Kind()).Add(float64(n))
		}
	}
}

// acknowledge confirms durable positions every second, even while a write takes long, and once more at the end. Then it
// closes the stream, which ends the handler's goroutine.
func (a *applier) acknowledge(ctx context.Context) error {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	for {
		confirmed := a.durable.confirm(time.Now())
		silence := a.Stream.Waiting()
		err := a.Stream.Status(confirmed, silence >= askAfter)
		if silence >= silentAfter {
			err = fmt.Errorf("%w for %s", ErrSilent, silence.Round(time.Second))
		}
		if err != nil {
			a.Stream.Close()
			return err
		}
		a.Board.Metrics.Confirmed.Set(float64(confirmed))
		select {
		case <-tick.C:
		case <-ctx.Done():
			<-a.stopped
			err := a.Stream.Status(a.durable.confirm(time.Now()), false)
			a.Stream.Close()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
