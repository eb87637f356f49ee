package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/apply"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

var (
	// errServer says that two connections which must lead to one server do not.
	errServer = errors.New("the address of the primary leads to different servers")
	// errNewer ends a session because another server was promoted.
	errNewer = errors.New("another server has become the primary")
	// errSetUp ends the set-up of a session if it takes too long (P13).
	errSetUp = errors.New("a server did not answer in time")
)

// setUpTime bounds each of the two steps of the set-up: before the wait for the lock, and after it.
const setUpTime = 10 * time.Second

// within runs a step of the set-up and fails with errSetUp if the step takes longer than d.
func within(ctx context.Context, d time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errSetUp)
	defer cancel()
	err := do(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errSetUp) {
		err = fmt.Errorf("%w: %w", errSetUp, err)
	}
	return err
}

// session is the work of a replicator from one connection to the primary to the first error.
type session struct {
	*Replicator
	control *control
	stream  *wal.Stream   // nil until the lock is held
	state   state         // what prepare found
	reason  status.Reason // for a rebuild; Resume: none
	token   string        // of this session, in all guards that it writes
}

// runSession connects to the primary, waits for the lock, decides, and replicates until the first error.
func (r *Replicator) runSession(ctx context.Context) error {
	r.board.SetState(status.Starting)
	s := &session{Replicator: r}
	if err := within(ctx, setUpTime, s.reach); err != nil {
		return err
	}
	defer s.close()
	ctx, overtaken := context.WithCancelCause(ctx)
	defer overtaken(nil)
	go s.lookOut(ctx, overtaken)
	if err := s.work(ctx); context.Cause(ctx) == nil {
		return err
	}
	return context.Cause(ctx)
}

func (s *session) close() {
	if s.stream != nil {
		s.stream.Close()
	}
	s.control.close()
}

// work waits for the lock and replicates.
func (s *session) work(ctx context.Context) error {
	if err := s.control.lock(ctx, s.waiting()); err != nil {
		return err
	}
	s.board.SetState(status.Starting)
	if err := s.control.endCopies(ctx); err != nil {
		return err
	}
	if err := within(ctx, setUpTime, s.prepare); err != nil {
		return err
	}
	s.reason, s.token = decide(s.state), uuid.NewString()[:8]
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.watch(ctx) })
	g.Go(func() error { return s.follow(ctx) })
	return g.Wait()
}

// reach finds the primary and connects to it. Of several systems, that of the read model is preferred.
func (s *session) reach(ctx context.Context) error {
	var preferred uint64
	if cp := (state{stored: s.redis.Get(ctx, readmodel.CheckpointKey).Val()}).checkpoint(); cp != nil {
		preferred = cp.SystemID
	}
	node, err := wal.Find(ctx, s.servers, preferred)
	if err != nil {
		return err
	}
	s.control, err = openControl(ctx, node, s.pipeline)
	return err
}

// waiting returns a function to call while another replicator holds the lock. At the first call it says so and forgets
// what an operator asked of this replicator, because that is for the other one to do.
func (s *session) waiting() func() {
	told := false
	return func() {
		if !told {
			s.log.Info("another replicator holds the lock, waiting", "primary", s.control.node.String())
			s.board.SetState(status.Waiting)
			s.forget()
		}
		told = true
	}
}

const lookOutEvery = 100 * time.Millisecond

// lookOut ends the session when another server is the primary of a later timeline, even if the session hangs.
func (s *session) lookOut(ctx context.Context, end context.CancelCauseFunc) {
	node := s.control.node
	for sleep.For(ctx, lookOutEvery) == nil {
		// The observation may be a second old. The server is asked again, so that a server that was stopped since does
		// not end the session.
		if n, ok := s.observer.Newer(node.System, node.Timeline, time.Now()); ok && n.Still(ctx) {
			end(fmt.Errorf("%w: %s is on timeline %d", errNewer, n, n.Timeline))
			return
		}
	}
}

// follow replicates. After an error, while this session still holds the lock, it revokes a checkpoint that is not true,
// and frees memory if Redis is full.
func (s *session) follow(ctx context.Context) error {
	err := s.replicate(ctx)
	undo := context.WithoutCancel(ctx)
	// The watch may have found the error that ended the session.
	if cause := context.Cause(ctx); cause != nil && untrue(cause) || untrue(err) {
		s.revoke(undo)
	}
	if sink.IsFull(err) || errors.Is(err, errNoRoomForTwo) {
		err = errors.Join(err, s.freeMemory(undo))
	}
	return err
}

// untrue says whether an error means that the data in Redis are not what the checkpoint says.
func untrue(err error) bool {
	return errors.Is(err, sink.ErrTorn) || errors.Is(err, apply.ErrForgot) || errors.Is(err, wal.ErrPublicationChanged) || errors.Is(err, errEvicted)
}

// revoke removes the checkpoint at once, because the data under it are not what it says. It leaves the checkpoint of a
// successor, which has another token.
func (s *session) revoke(ctx context.Context) {
	if err := sink.Remove(ctx, s.redis, readmodel.CheckpointKey, s.token, ""); err != nil {
		s.log.Error("a checkpoint that is not true is still there", "error", err)
	}
	s.board.Applied(readmodel.Checkpoint{})
}

// replicate resumes or rebuilds, then streams.
func (s *session) replicate(ctx context.Context) error {
	guard, cp, err := s.claim(ctx)
	if err != nil {
		return err
	}
	if s.reason != status.Resume {
		if err := s.rest(ctx, guard); err != nil {
			return errors.Join(err, guard.Close())
		}
		guard, cp, err = s.rebuild(ctx, guard)
		if err != nil {
			return fmt.Errorf("%w: %w", errRebuild, err)
		}
		s.forced, s.older = status.Resume, false
	} else {
		s.log.Info("resuming", "lsn", cp.Position().String(), "slot", cp.Slot, "epoch", cp.Epoch, "applying", cp.Applying)
	}
	return s.apply(ctx, guard, cp)
}

// claim writes this session's token into the checkpoint. If the old epoch must not be served during the rebuild, claim
// removes the checkpoint instead. Both fence off the session that wrote it. If the checkpoint is missing or corrupt, claim
// writes nothing. The returned writer guards the checkpoint, missing or not.
func (s *session) claim(ctx context.Context) (*sink.Writer, readmodel.Checkpoint, error) {
	guard, err := sink.Watch(ctx, s.redis, readmodel.CheckpointKey, s.state.stored)
	if err != nil {
		return nil, readmodel.Checkpoint{}, err
	}
	cp := s.state.checkpoint()
	if cp == nil {
		s.board.Applied(readmodel.Checkpoint{}) // nothing is served
		return guard, readmodel.Checkpoint{}, s.takeAway(guard)
	}
	cp.Token, cp.Server = s.token, s.state.node.Started // decide has found nothing in the epoch that this server lacks
	switch next := s.state.successor; {
	case s.reason == status.Resume && next != nil:
		*cp = continued(*cp, *next, s.state.system.Timeline)
	case s.reason == status.Resume:
		cp.Timeline = s.state.system.Timeline // a slot that survived a promotion continues on the new timeline
	}
	value := cp.String()
	if !s.reason.KeepsServing() {
		value, *cp = "", readmodel.Checkpoint{}
	}
	if err := guard.Write(value, func(*resp.Commands) {}); err != nil {
		return nil, *cp, errors.Join(err, guard.Close())
	}
	s.board.Applied(*cp)
	return guard, *cp, nil
}

// takeAway removes a checkpoint of another version, because its own readers can read it and the rebuild removes its keys.
func (s *session) takeAway(guard *sink.Writer) error {
	if s.reason != status.OtherVersion {
		return nil
	}
	if err := guard.Write("", func(*resp.Commands) {}); err != nil {
		return errors.Join(err, guard.Close())
	}
	return nil
}

// apply streams from a checkpoint, which the writer guards, and cleans up meanwhile.
func (s *session) apply(ctx context.Context, guard *sink.Writer, cp readmodel.Checkpoint) (err error) {
	defer func() { err = errors.Join(err, guard.Close()) }()
	gate, err := s.gate(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	if err := s.stream.Start(ctx, cp.Slot, cp.Commit); err != nil {
		return err
	}
	if err := s.sameSlot(ctx, cp); err != nil {
		return err
	}
	job := apply.Job{Pipeline: s.pipeline, Stream: s.stream, Server: s.control.node.Server, Checkpoint: cp, Writer: guard, Gate: gate, Redis: s.redis, Plain: s.plain,
		Published: s.state.published, Altered: s.state.altered, Board: s.board, Repairs: s.repairs, Clock: s.observer.Clock, Spans: s.spans, Log: s.log}
	if slot := s.state.slot(cp.Slot); slot != nil {
		job.Confirmed = slot.ConfirmedLSN
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return apply.Run(ctx, job) })
	g.Go(func() error { s.cleanUp(ctx, cp); return nil })
	return g.Wait()
}
