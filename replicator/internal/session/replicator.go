package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/tracing"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/apply"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/status"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Replicator keeps one Redis equal to one primary.
type Replicator struct {
	pipeline wal.Pipeline
	servers  []wal.Server // one of them is the primary
	observer *wal.Observer
	redis    *redis.Client
	spans    *tracing.Tracer // nil: no spans are made
	log      *slog.Logger
	board    *status.Board
	repairs  *status.Repairs

	requests  chan request    // unbuffered, so that a request that nobody takes in time is refused
	forced    status.Reason   // why the next session must rebuild; Resume: it need not
	epoch     readmodel.Epoch // the newest epoch that this replicator has worked on
	older     bool            // an operator accepts an older timeline
	evictions string          // of Redis when this session began, as in readmodel.EvictionsKey
	plain     bool            // Redis does not take RESTORE, so sets are written by ZADD
	failures  failures
	// bytesPerRow is the memory for each row of the last copy that this process made; 0: not known.
	bytesPerRow float64
}

// New makes a replicator; Run starts it. The options of Redis are changed to never retry.
func New(servers []wal.Server, options *redis.Options, log *slog.Logger, reg prometheus.Registerer) *Replicator {
	options.MaxRetries = -1 // a write that is retried on another connection has lost its WATCH
	options.Protocol = 2
	options.DisableIdentity = true
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = 2*time.Second, sink.FlushTime, sink.FlushTime
	r := &Replicator{servers: servers, redis: redis.NewClient(options), log: log, requests: make(chan request)}
	r.observer = wal.NewObserver(servers, func() int64 { return r.board.Beat() })
	r.board = status.NewBoard(reg, r.observer.Pulse, time.Now())
	r.board.Expect(allKinds()...)
	r.repairs = status.NewRepairs(log, reg)
	return r
}

// SetClock sets the wall clock, before Run.
func (r *Replicator) SetClock(c clock.Clock) { r.observer.Clock = c }

// SetPipeline names the pipeline, before Run.
func (r *Replicator) SetPipeline(p wal.Pipeline) {
	r.pipeline = p
	r.board.Update(func(now *status.Status) { now.Pipeline = string(p) })
}

// SetSpans makes the replicator go on with the traces of the writes, if it is called before Run.
func (r *Replicator) SetSpans(t *tracing.Tracer) { r.spans = t }

// Status is what the replicator says about itself.
func (r *Replicator) Status(now time.Time) status.Status { return r.board.Read(now) }

// Listen tells a listener what happens. It is called before Run.
func (r *Replicator) Listen(l status.Listener) {
	r.board.Listen(l)
	r.repairs.Listen(l)
}

// Sights is what all servers of PRIMARY_URL showed last, in their order.
func (r *Replicator) Sights(now time.Time) []wal.Sight { return r.observer.Sights(now) }

// Applied counts the transactions and the row changes that this process has applied.
func (r *Replicator) Applied() (transactions, changes float64) { return r.board.Metrics.Applied() }

// Ready returns an error unless the replicator streams, waits while another one works, or is paused.
func (r *Replicator) Ready(context.Context) error {
	if s := r.board.Read(time.Now()); s.State != status.Streaming && s.State != status.Waiting && s.State != status.Paused {
		return fmt.Errorf("replicator is %s", s.State)
	}
	return nil
}

// Run runs session after session until the context ends. It only returns the error of closing Redis.
func (r *Replicator) Run(ctx context.Context) error {
	var beside sync.WaitGroup
	beside.Go(func() { r.observer.Run(ctx) })
	beside.Go(func() { r.board.Mirror(ctx, r.redis) })
	for ctx.Err() == nil {
		err := r.runSession(ctx)
		if ctx.Err() != nil {
			break
		}
		if asked := (*requestError)(nil); errors.As(err, &asked) {
			r.take(asked.request)
			continue
		}
		if errors.Is(err, errResumed) {
			continue
		}
		pause := r.failures.next(err, r.board.HasMoved())
		r.board.Failed(err, errorKind(err), time.Now(), pause)
		r.forced = forces(err, r.forced)
		r.log.Error("session ended", "error", err, "retry_in", pause.String())
		if r.pause(ctx, pause) != nil {
			break
		}
	}
	beside.Wait()
	r.log.Info("stopped", "lsn", r.Status(time.Now()).LSN)
	return r.redis.Close()
}

// pause waits before the next session. A request of an operator ends the wait.
func (r *Replicator) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case q := <-r.requests:
		q.answer <- nil
		r.take(q)
	case <-ctx.Done():
	}
	return ctx.Err()
}

// forces returns the reason for a rebuild that an error gives to the next session. Other errors keep the reason before.
func forces(err error, before status.Reason) status.Reason {
	switch {
	case errors.Is(err, projection.ErrTruncated):
		return status.Truncated
	case errors.Is(err, sink.ErrTorn):
		return status.Torn
	case errors.Is(err, errEvicted):
		return status.Evicted
	case errors.Is(err, apply.ErrForgot):
		return status.PrimaryForgot
	case errors.Is(err, wal.ErrPublicationChanged):
		return status.PublicationChanged
	}
	return before
}

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 3 * time.Second // P9: a takeover has 10 s
	// A rebuild that fails copies everything from the primary each time, so the pauses grow.
	firstRebuildBackoff = time.Second
	lastRebuildBackoff  = 5 * time.Minute
	noRoomBackoff       = 10 * time.Second // shorter, because nothing was copied
)

// failures says how long to pause after a session. A rebuild that fails again for the same reason waits longer each
// time. After any other error the pause is short, because another server may have taken over.
type failures struct {
	backoff  time.Duration
	kind     string // why the last rebuild failed
	rebuilds int
}

// next returns the pause after an error. progress says that a transaction was applied since the last error, which
// resets the pauses.
func (f *failures) next(err error, progress bool) time.Duration {
	if progress {
		*f = failures{}
	}
	kind := errorKind(err)
	switch {
	case errors.Is(err, errNoRoom):
		return noRoomBackoff
	case errors.Is(err, errNoRoomForTwo):
		return firstBackoff
	case !errors.Is(err, errRebuild) || passing(kind):
		f.backoff = min(max(2*f.backoff, firstBackoff), lastBackoff)
		return f.backoff
	case kind != f.kind:
		f.kind, f.rebuilds = kind, 0
	}
	f.rebuilds++
	return min(firstRebuildBackoff<<min(f.rebuilds-1, 20), lastRebuildBackoff)
}

// passing says whether an error of a rebuild may pass by itself, because its cause is not in the data.
func passing(kind string) bool {
	switch kind {
	case "connection", "fenced", "redis", "server", "newer_primary":
		return true
	}
	return false
}
