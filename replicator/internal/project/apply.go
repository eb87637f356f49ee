package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

const (
	ackEvery  = time.Second
	idleCheck = 250 * time.Millisecond // an idle Redis is looked at this often (P3)
	firstAsk  = 4 * time.Millisecond
	lastAsk   = time.Second
	// A server that sends nothing is asked for an answer, and one that does not answer is given up (P13).
	askAfter    = 3 * time.Second
	silentAfter = 6 * time.Second
)

// errSilent ends a session whose stream is dead while everything else looks well.
var errSilent = errors.New("the server has sent nothing on the replication stream")

// applier writes batches to Redis, one after the other.
type applier struct {
	writer     *sink.Writer
	checkpoint readmodel.Checkpoint
	queue      *queue
	stream     *wal.Stream
	server     wal.Server
	durable    *durable
	board      *status.Board
	metrics    *status.Metrics
	repairs    *repairs
	r          *Replicator
	group      *errgroup.Group
	pending    map[readmodel.Part]bool      // parts that are known to wait for a reload
	tried      map[readmodel.Part]time.Time // when a part may be tried again
	reload     *reload                      // nil: there is none
	lastFlush  time.Time
	stopped    chan struct{}
}

// stream applies from the checkpoint on until an error or the end of the context.
func (r *Replicator) stream(ctx context.Context, stream *wal.Stream, f *sink.Writer, cp readmodel.Checkpoint, s state) (err error) {
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := stream.Start(ctx, cp.Slot, cp.Commit); err != nil {
		return err
	}
	r.board.Applied(cp)
	r.board.SetState(status.Streaming)
	a := &applier{writer: f, checkpoint: cp, queue: newQueue(cp.Epoch), stream: stream, durable: &durable{},
		board: r.board, metrics: r.metrics, repairs: r.repairs, r: r, server: s.node.Server, pending: make(map[readmodel.Part]bool), tried: make(map[readmodel.Part]time.Time), lastFlush: time.Now(), stopped: make(chan struct{})}
	if slot := s.slot(cp.Slot); slot != nil {
		a.durable.confirmed = slot.ConfirmedLSN
	}
	a.durable.wrote(cp.Commit, time.Now())

	g, ctx := errgroup.WithContext(ctx)
	a.group = g
	names := make(chan []string)
	g.Go(func() error { return r.wanted(ctx, names) })
	g.Go(func() error {
		return stream.Run(&handler{ctx: ctx, queue: a.queue, projector: newProjector(cp.Epoch), handed: cp.LSN,
			origin: originOf(cp), published: s.published, altered: func(xid uint32) error { return s.altered(ctx, xid) }})
	})
	g.Go(func() error { return a.run(ctx, names) })
	g.Go(func() error { return a.acknowledge(ctx) })
	g.Go(func() error { r.cleanUp(ctx, s.node, cp, s.mark); return nil })
	return g.Wait()
}

// run flushes what is waiting. When it has caught up it asks the server for its position, at growing
// intervals after the last transaction: the answer moves the checkpoint past WAL that is not ours.
func (a *applier) run(ctx context.Context, names <-chan []string) error {
	defer close(a.stopped)
	ask := time.NewTimer(firstAsk)
	defer ask.Stop()
	pause := firstAsk
	idle := time.NewTicker(idleCheck)
	defer idle.Stop()
	for {
		// A select picks at random: the end must win over a full queue.
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var err error
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case b := <-a.queue.waiting:
			if b.commits > 0 {
				pause = firstAsk
				ask.Reset(pause)
			}
			err = a.apply(b)
		case all := <-names:
			err = a.begin(ctx, all)
		case p := <-a.chunks():
			err = a.chunk(p)
		case <-a.replayable():
			err = a.replay()
		case <-ask.C:
			if len(a.queue.waiting) == 0 {
				err = a.stream.Status(a.durable.confirm(time.Now()), true)
				pause = min(2*pause, lastAsk)
			}
			ask.Reset(pause)
		case now := <-idle.C:
			if now.Sub(a.lastFlush) >= idleCheck {
				err = a.writer.Verify()
			}
		}
		if err != nil {
			return err
		}
	}
}

// apply flushes a batch with the checkpoint that it leads to. A batch that ends within a transaction
// leaves the position where it is and says so (P2).
func (a *applier) apply(b *batch) error {
	err := a.write(after(a.checkpoint, b, a.board.PrimaryNow(time.Now())), func(c *resp.Commands) {
		b.append(c)
		if b.probe.keys > 0 {
			a.writer.Probe = b.probe.at - 1 // MULTI is not executed
		}
	})
	if err != nil {
		return err
	}
	lost := a.writer.Lost
	if a.writer.Probed < int64(b.probe.keys) {
		if err := a.write(a.checkpoint, b.appendChecks); err != nil {
			return err
		}
		lost = append(lost, a.writer.Lost...)
	}
	if err := a.noteLost(lost); err != nil {
		return err
	}
	for _, p := range b.spoiled {
		a.repairs.poisonFound(p)
	}
	if rl := a.reload; rl != nil {
		if rl.note(b); rl.changes > maxJournal {
			if err := a.giveUp(errJournal); err != nil {
				return err
			}
		}
	}
	if b.commits > 0 {
		a.board.Moved()
	}
	a.count(b)
	a.queue.release(b)
	return nil
}

// after is the checkpoint that holds once a batch is in. Only a commit ends what is being applied: what
// was cut off by the end of a process is sent again as a whole, but a mere position may come before it. now is
// the time on the primary's clock, so that the delay is measured on one clock.
func after(c readmodel.Checkpoint, b *batch, now time.Time) readmodel.Checkpoint {
	c.LSN = max(c.LSN, b.lsn)
	if b.commits > 0 {
		c.Commit, c.CommitAt = b.last.begins, b.last.at
	}
	if b.open && !c.Applying {
		c.Phase++
	}
	c.Applying = b.open || c.Applying && b.commits == 0
	if b.beat != (heartbeat.Beat{}) {
		c.Beat, c.Delay = b.beat, max(now.UnixMicro()-b.beat.At, 0)/1000
	}
	return c
}

// write finishes even when the session ends: a flush is never cut in the middle.
func (a *applier) write(next readmodel.Checkpoint, commands func(*resp.Commands)) error {
	begun := time.Now()
	if err := a.writer.Write(next.String(), commands); err != nil {
		return err
	}
	now := time.Now()
	a.metrics.Flush.Observe(now.Sub(begun).Seconds())
	a.lastFlush = now
	a.checkpoint = next
	a.durable.wrote(next.Commit, now)
	a.board.Applied(next)
	return nil
}

func (a *applier) count(b *batch) {
	a.metrics.Changes.Observe(float64(b.changes))
	a.metrics.Transactions.Add(float64(b.commits))
	for kind, n := range b.rows {
		if n > 0 {
			a.metrics.Rows.WithLabelValues(rowKinds[kind]).Add(float64(n))
		}
	}
}

// acknowledge confirms durable positions by the clock, also while a flush takes long, and once more at
// the end. Then it closes the stream, which ends the receiver.
func (a *applier) acknowledge(ctx context.Context) error {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	for {
		confirmed := a.durable.confirm(time.Now())
		silence := a.stream.Waiting()
		err := a.stream.Status(confirmed, silence >= askAfter)
		if silence >= silentAfter {
			err = fmt.Errorf("%w for %s", errSilent, silence.Round(time.Second))
		}
		if err != nil {
			a.stream.Close()
			return err
		}
		a.metrics.Confirmed.Set(float64(confirmed))
		select {
		case <-tick.C:
		case <-ctx.Done():
			<-a.stopped
			err := a.stream.Status(a.durable.confirm(time.Now()), false)
			a.stream.Close()
			return errors.Join(context.Cause(ctx), err)
		}
	}
}
