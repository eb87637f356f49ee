package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Replicator keeps one Redis equal to one primary.
type Replicator struct {
	primaryURL string
	redis      *redis.Client
	log        *slog.Logger
	board      *board
	metrics    *metrics
	mends      *mends

	requests  chan struct{} // for a rebuild, by an operator
	forced    Reason        // the next session rebuilds
	evictions string        // of Redis when this session began, as in readmodel.EvictionsKey
}

// New makes a replicator; Run starts it. The options of Redis are changed to never retry.
func New(primaryURL string, options *redis.Options, log *slog.Logger, reg prometheus.Registerer) *Replicator {
	options.MaxRetries = -1 // a retried write is a write without its WATCH
	options.Protocol = 2
	options.DisableIdentity = true
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = 2*time.Second, flushTime, flushTime
	r := &Replicator{primaryURL: primaryURL, redis: redis.NewClient(options), log: log, board: &board{started: time.Now()},
		requests: make(chan struct{}, 1)}
	r.metrics = newMetrics(reg, func() float64 { return float64(r.Status(time.Now()).LagMillis) / 1000 })
	r.board.metrics, r.mends = r.metrics, newMends(log, reg)
	r.board.state(Starting)
	return r
}

// Status is what the replicator says about itself.
func (r *Replicator) Status(now time.Time) Status { return r.board.read(now) }

// Ready returns an error while the replicator isn't streaming.
func (r *Replicator) Ready(context.Context) error {
	if s := r.board.read(time.Now()); s.State != Streaming {
		return fmt.Errorf("replicator is %s", s.State)
	}
	return nil
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 3 * time.Second // P9: a takeover has 10 s
)

// Run works until the context ends; what fails is tried again with backoff, which begins anew after a
// session that has applied a transaction from the stream. Its only error is that of closing Redis.
func (r *Replicator) Run(ctx context.Context) error {
	backoff := firstBackoff
	for ctx.Err() == nil {
		err := r.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errRequested) {
			r.request()
			continue
		}
		if r.board.hasMoved() {
			backoff = firstBackoff
		}
		r.board.failed(err, time.Now())
		r.board.state(Retrying)
		r.forced = forces(err, r.forced)
		r.log.Error("session ended", "error", err, "retry_in", backoff.String())
		if wait(ctx, backoff) != nil {
			break
		}
		backoff = min(2*backoff, lastBackoff)
	}
	r.log.Info("stopped", "lsn", r.Status(time.Now()).LSN)
	return r.redis.Close()
}

// forces says which errors the next session can only answer with a rebuild.
func forces(err error, before Reason) Reason {
	switch {
	case errors.Is(err, errTruncated):
		return Truncated
	case errors.Is(err, errTorn):
		return Torn
	case errors.Is(err, errEvicted):
		return Evicted
	case errors.Is(err, errForgot):
		return PrimaryForgot
	}
	return before
}

// withdraw takes the checkpoint away from readers at once: the data under it is not what it says. That
// of a successor, who carries another token, stays.
func (r *Replicator) withdraw(ctx context.Context, token string) {
	if err := remove(ctx, r.redis, readmodel.CheckpointKey, token, ""); err != nil {
		r.log.Error("a checkpoint that is not true is still there", "error", err)
	}
}

// session connects, waits for the lock, decides, and replicates until the first error.
func (r *Replicator) session(ctx context.Context) error {
	r.board.state(Starting)
	c, err := openControl(ctx, r.primaryURL)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.lock(ctx, r.waiting()); err != nil {
		return err
	}
	r.board.state(Starting)
	if err := r.redisWhole(ctx); err != nil {
		return err
	}
	if err := wal.CheckPublication(ctx, c.conn); err != nil {
		return err
	}
	stream, err := wal.Connect(ctx, r.primaryURL)
	if err != nil {
		return err
	}
	defer stream.Close()
	r.takeRequest()
	s, err := r.inspect(ctx, c, stream)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.watch(ctx, c) })
	g.Go(func() error { return r.follow(ctx, stream, s) })
	return g.Wait()
}

func (r *Replicator) waiting() func() {
	told := false
	return func() {
		if !told {
			r.log.Info("another replicator holds the lock, waiting")
			r.board.state(Waiting)
		}
		told = true
	}
}

func (r *Replicator) inspect(ctx context.Context, c *control, stream *wal.Stream) (s state, err error) {
	s.forced = r.forced
	if s.stored, err = r.redis.Get(ctx, readmodel.CheckpointKey).Result(); err != nil && !errors.Is(err, redis.Nil) {
		return s, fmt.Errorf("redis checkpoint: %w", err)
	}
	if s.mark, err = r.redis.Get(ctx, readmodel.RebuildKey).Result(); err != nil && !errors.Is(err, redis.Nil) {
		return s, fmt.Errorf("redis mark: %w", err)
	}
	if s.slots, err = wal.Slots(ctx, c.conn); err != nil {
		return s, err
	}
	if s.system, err = stream.Identify(ctx); err != nil {
		return s, err
	}
	cp := s.checkpoint()
	if cp == nil {
		return s, nil
	}
	if slot := s.slot(cp.Slot); slot != nil && slot.ActivePID != 0 {
		r.log.Warn("ending the walsender that a former replicator left", "pid", slot.ActivePID, "slot", slot.Name)
		return s, wal.Terminate(ctx, c.conn, slot.ActivePID)
	}
	return s, nil
}

// watch writes the probe every second, which also keeps the lock's session alive, and looks at the
// slot and at Redis.
func (r *Replicator) watch(ctx context.Context, c *control) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		p, err := c.probe(ctx)
		if err != nil {
			return err
		}
		r.noticed(p)
		if err := r.redisFit(ctx); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-r.requests:
			return errRequested
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *Replicator) noticed(p positions) {
	var retained int64
	r.board.update(func() {
		r.board.flushed = p.flushed
		for _, s := range p.slots {
			if s.Name == r.board.checkpoint.Slot {
				retained = s.RetainedBytes
			}
		}
		r.board.status.RetainedBytes = retained
	})
	r.metrics.retained.Set(float64(retained))
}

// follow replicates and, while the lock is still held, undoes what must not stay after an error.
func (r *Replicator) follow(ctx context.Context, stream *wal.Stream, s state) error {
	token, reason := uuid.NewString()[:8], decide(s)
	err := r.replicate(ctx, stream, s, reason, token)
	undo := context.WithoutCancel(ctx)
	if errors.Is(err, errTorn) || errors.Is(err, errForgot) {
		r.withdraw(undo, token)
	}
	if isFull(err) {
		err = errors.Join(err, r.makeRoom(undo, s, token, reason != Resume))
	}
	return err
}

// replicate resumes or rebuilds, then streams.
func (r *Replicator) replicate(ctx context.Context, stream *wal.Stream, s state, reason Reason, token string) error {
	guard, cp, err := r.claim(ctx, s, reason, token)
	if err != nil {
		return err
	}
	if reason != Resume {
		guard, cp, err = r.rebuild(ctx, stream, s, reason, guard, token)
		if err != nil {
			return fmt.Errorf("rebuild: %w", err)
		}
		r.forced = Resume
	} else {
		r.log.Info("resuming", "lsn", cp.LSN.String(), "slot", cp.Slot, "epoch", cp.Epoch, "applying", cp.Applying)
	}
	return r.stream(ctx, stream, guard, cp, s)
}

// claim puts this session's token into the checkpoint, if there is one, which fences off whoever wrote
// it before; a checkpoint whose epoch must not be served during the rebuild is taken away, which does the
// same. The returned flusher guards the checkpoint, missing or not.
func (r *Replicator) claim(ctx context.Context, s state, reason Reason, token string) (*flusher, readmodel.Checkpoint, error) {
	f, err := arm(ctx, r.redis, readmodel.CheckpointKey, s.stored)
	if err != nil {
		return nil, readmodel.Checkpoint{}, err
	}
	cp := s.checkpoint()
	if cp == nil {
		return f, readmodel.Checkpoint{}, nil
	}
	cp.Token = token
	value := cp.String()
	if !reason.keepsServing() {
		value, *cp = "", readmodel.Checkpoint{}
	}
	if err := f.write(value, nothing); err != nil {
		return nil, *cp, errors.Join(err, f.close())
	}
	r.board.applied(*cp)
	return f, *cp, nil
}

func nothing(*resp.Commands) {}
