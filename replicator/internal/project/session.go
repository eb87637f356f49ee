package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

var (
	// errServer says that connections which must be to one server are not.
	errServer = errors.New("the address of the primary leads to different servers")
	// errNewer ends a session because of a promotion elsewhere.
	errNewer = errors.New("another server has become the primary")
	// errPublication says that rows may be missing in the stream (P11).
	errPublication = errors.New("the publication has changed")
	// errSlotLost ends a rebuild whose slot the server has given up.
	errSlotLost = errors.New("the server has given the slot up: raise max_slot_wal_keep_size")
	// errSetUp ends what comes before the stream if it takes too long (P13).
	errSetUp = errors.New("a server did not answer in time")
)

// setUpTime bounds what a session does before and after it waits for the lock.
const setUpTime = 10 * time.Second

// within runs a step of the set-up.
func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errSetUp)
	defer cancel()
	err := do(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errSetUp) {
		err = fmt.Errorf("%w: %w", errSetUp, err)
	}
	return err
}

// session connects to the primary, waits for the lock, decides, and replicates until the first error.
func (r *Replicator) session(ctx context.Context) error {
	r.board.SetState(status.Starting)
	var c *control
	err := within(ctx, setUpTime, func(ctx context.Context) (err error) { c, err = r.reach(ctx); return err })
	if err != nil {
		return err
	}
	defer c.close()
	ctx, overtaken := context.WithCancelCause(ctx)
	defer overtaken(nil)
	go r.lookOut(ctx, c.node, overtaken)
	if err := r.work(ctx, c); context.Cause(ctx) == nil {
		return err
	}
	return context.Cause(ctx)
}

// work waits for the lock and replicates.
func (r *Replicator) work(ctx context.Context, c *control) error {
	if err := c.lock(ctx, r.waiting(c.node)); err != nil {
		return err
	}
	r.board.SetState(status.Starting)
	if err := c.endCopies(ctx); err != nil {
		return err
	}
	var stream *wal.Stream
	var s state
	err := within(ctx, setUpTime, func(ctx context.Context) (err error) { stream, s, err = r.prepare(ctx, c); return err })
	if stream != nil {
		defer stream.Close()
	}
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.watch(ctx, c, s) })
	g.Go(func() error { return r.follow(ctx, c, stream, s) })
	return g.Wait()
}

// reach finds the primary and connects to it. Of several systems, that of the read model is preferred.
func (r *Replicator) reach(ctx context.Context) (*control, error) {
	var preferred uint64
	if cp := (state{stored: r.redis.Get(ctx, readmodel.CheckpointKey).Val()}).checkpoint(); cp != nil {
		preferred = cp.SystemID
	}
	node, err := wal.Find(ctx, r.servers, preferred)
	if err != nil {
		return nil, err
	}
	return openControl(ctx, node)
}

// waiting is called while another replicator holds the lock of a node. What an operator asked of this replicator
// is for the other one to do.
func (r *Replicator) waiting(node wal.Node) func() {
	told := false
	return func() {
		if !told {
			r.log.Info("another replicator holds the lock, waiting", "primary", node.String())
			r.board.SetState(status.Waiting)
			r.forget()
		}
		told = true
	}
}

const lookOutEvery = 100 * time.Millisecond

// lookOut ends a session, also one that hangs, once another server is the primary of a later timeline.
func (r *Replicator) lookOut(ctx context.Context, node wal.Node, end context.CancelCauseFunc) {
	for sleep.For(ctx, lookOutEvery) == nil {
		// What was observed may be a second old: a server that was stopped since does not end the session.
		if n, ok := r.observer.Newer(node.System, node.Timeline, time.Now()); ok && n.Still(ctx) {
			end(fmt.Errorf("%w: %s is on timeline %d", errNewer, n, n.Timeline))
			return
		}
	}
}

// prepare opens the stream and learns everything that the decision depends on.
func (r *Replicator) prepare(ctx context.Context, c *control) (stream *wal.Stream, s state, err error) {
	if s.stored, err = r.stored(ctx); err != nil {
		return nil, s, err
	}
	r.succeed(s)
	if err := r.checkEvictions(ctx); err != nil {
		return nil, s, err
	}
	if err := r.rewrite(ctx); err != nil {
		return nil, s, err
	}
	if err := r.tryRestore(ctx); err != nil {
		return nil, s, err
	}
	if stream, err = c.node.Stream(ctx, nil); err != nil {
		return nil, s, err
	}
	r.takeRequest()
	s, err = r.inspect(ctx, c, stream)
	return stream, s, err
}

// stored is the checkpoint as Redis holds it; "" if it is missing.
func (r *Replicator) stored(ctx context.Context) (string, error) {
	stored, err := r.redis.Get(ctx, readmodel.CheckpointKey).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("redis checkpoint: %w", err)
	}
	return stored, nil
}

// succeed drops what the last session has found wrong with its epoch if another replicator has served a newer one since.
func (r *Replicator) succeed(s state) {
	cp := s.checkpoint()
	if cp == nil || cp.Epoch <= r.epoch {
		return
	}
	if r.forced != status.Requested {
		r.forced = status.Resume
	}
	r.epoch = cp.Epoch
}

func (r *Replicator) inspect(ctx context.Context, c *control, stream *wal.Stream) (s state, err error) {
	s.forced, s.node = r.forced, c.node
	if s.stored, err = r.stored(ctx); err != nil {
		return s, err
	}
	if s.mark, err = r.redis.Get(ctx, readmodel.RebuildKey).Result(); err != nil && !errors.Is(err, redis.Nil) {
		return s, fmt.Errorf("redis mark: %w", err)
	}
	if s.system, err = stream.Identify(ctx); err != nil {
		return s, err
	}
	if err := c.leadsTo(ctx, stream, s.system); err != nil {
		return s, err
	}
	if err := s.stale(); err != nil && !r.older {
		return s, err
	}
	if s.history, err = stream.History(ctx, s.system.Timeline); err != nil {
		return s, err
	}
	if s.published, err = wal.ReadPublished(ctx, c.conn); err != nil {
		return s, err
	}
	if s.slots, err = wal.Slots(ctx, c.conn); err != nil {
		return s, err
	}
	return s, r.inspectCheckpoint(ctx, c, &s)
}

// inspectCheckpoint looks at what the checkpoint names.
func (r *Replicator) inspectCheckpoint(ctx context.Context, c *control, s *state) (err error) {
	cp := s.checkpoint()
	if cp == nil || cp.SystemID != s.system.ID {
		return nil
	}
	if s.memory, err = remember(ctx, c.conn, *cp); err != nil {
		return err
	}
	if slot := s.slot(cp.Slot); slot != nil && slot.ActivePID != 0 {
		r.log.Warn("ending the walsender that a former replicator left", "pid", slot.ActivePID, "slot", slot.Name)
		return wal.Terminate(ctx, c.conn, slot.ActivePID)
	}
	return nil
}

// follow replicates and, while the lock is still held, undoes what must not stay after an error.
func (r *Replicator) follow(ctx context.Context, c *control, stream *wal.Stream, s state) error {
	token, reason := uuid.NewString()[:8], decide(s)
	err := r.replicate(ctx, c, stream, s, reason, token)
	undo := context.WithoutCancel(ctx)
	// What ended the session may have been found by the watch.
	if cause := context.Cause(ctx); cause != nil && untrue(cause) || untrue(err) {
		r.revoke(undo, token)
	}
	if sink.IsFull(err) || errors.Is(err, errNoRoomForTwo) {
		err = errors.Join(err, r.freeMemory(undo, s, token, reason != status.Resume))
	}
	return err
}

// untrue says whether an error means that the data in Redis are not what the checkpoint says.
func untrue(err error) bool {
	return errors.Is(err, sink.ErrTorn) || errors.Is(err, errForgot) || errors.Is(err, errPublication) || errors.Is(err, errEvicted)
}

// revoke takes the checkpoint away from readers at once: the data under it is not what it says. That
// of a successor, who carries another token, stays.
func (r *Replicator) revoke(ctx context.Context, token string) {
	if err := sink.Remove(ctx, r.redis, readmodel.CheckpointKey, token, ""); err != nil {
		r.log.Error("a checkpoint that is not true is still there", "error", err)
	}
	r.board.Applied(readmodel.Checkpoint{})
}

// replicate resumes or rebuilds, then streams.
func (r *Replicator) replicate(ctx context.Context, c *control, stream *wal.Stream, s state, reason status.Reason, token string) error {
	guard, cp, err := r.claim(ctx, s, reason, token)
	if err != nil {
		return err
	}
	if reason != status.Resume {
		guard, cp, err = r.rebuild(ctx, c, stream, s, reason, guard, token)
		if err != nil {
			return fmt.Errorf("%w: %w", errRebuild, err)
		}
		r.forced, r.older = status.Resume, false
	} else {
		r.log.Info("resuming", "lsn", lsn.Position{Timeline: cp.Timeline, LSN: cp.LSN}.String(), "slot", cp.Slot, "epoch", cp.Epoch, "applying", cp.Applying)
	}
	return r.stream(ctx, stream, guard, cp, s)
}

// claim puts this session's token into the checkpoint, if there is one, which fences off whoever wrote
// it before; a checkpoint whose epoch must not be served during the rebuild is taken away, which does the
// same. The returned writer guards the checkpoint, missing or not.
func (r *Replicator) claim(ctx context.Context, s state, reason status.Reason, token string) (*sink.Writer, readmodel.Checkpoint, error) {
	f, err := sink.Arm(ctx, r.redis, readmodel.CheckpointKey, s.stored)
	if err != nil {
		return nil, readmodel.Checkpoint{}, err
	}
	cp := s.checkpoint()
	if cp == nil {
		return f, readmodel.Checkpoint{}, nil
	}
	cp.Token, cp.Server = token, s.node.Started // decide has found nothing that this server does not have
	if reason == status.Resume {
		cp.Timeline = s.system.Timeline // a slot that survived a promotion goes on there
	}
	value := cp.String()
	if !reason.KeepsServing() {
		value, *cp = "", readmodel.Checkpoint{}
	}
	if err := f.Write(value, nothing); err != nil {
		return nil, *cp, errors.Join(err, f.Close())
	}
	r.board.Applied(*cp)
	return f, *cp, nil
}

func nothing(*resp.Commands) {}
