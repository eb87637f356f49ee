// Package redisbook answers lookups from the read model in Redis. It believes an answer only if the read model proves that
// it is complete (R1); everything else is bidbook.ErrIncomplete, and the chain asks the next path.
package redisbook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/query/internal/autopipe"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// Redis reads the read model that the replicator keeps. Lookups share pipelines, each of which lies between two reads
// of the checkpoint.
type Redis struct {
	// Clock says which raffles are open now. It is set before the first read.
	Clock clock.Clock

	trust   *Trust
	primary *primary.Watch
	client  *autopipe.Client[*snapshot]
	epoch   atomic.Uint64 // the last one seen
	latest  atomic.Pointer[snapshot]
	ended   atomic.Pointer[func(error)]

	outlines outlines
	raffles  keeper[*catalogue]
	products keeper[*goods]
}

type request = autopipe.Request[*snapshot]

// snapshot is what the checkpoints around a pipeline prove about all its lookups.
type snapshot struct {
	checkpoint readmodel.Checkpoint // the first
	at         bidbook.Position
	err        error
}

// Bounds of the work that is sent to Redis at once, in weights of autopipe. Two pipelines keep Redis busy while the
// replies of one of them are handed out; more pipelines would only be smaller. A full pipeline takes Redis some 2 ms,
// and all requests that may wait take half of the budget. A page of 1,000 bids and the details of a raffle with some
// 30 sizes weigh about maxLight.
const maxLight = 1_000

var (
	lightLimits = autopipe.Limits{Connections: 2, Pipeline: 20_000, Waiting: 250_000}
	heavyLimits = autopipe.Limits{Connections: 1, Pipeline: 10_000, Waiting: 150_000}
)

// scriptRows is about the work of the script that finds a page's beginning, in rows.
const scriptRows = 400

// redisDialTime bounds connecting and authenticating a connection for lookups.
const redisDialTime = 500 * time.Millisecond

// New makes a reader of the server that a redis:// URL names, and registers its metrics. It does not connect yet.
func New(url string, trust *Trust, primary *primary.Watch, reg prometheus.Registerer) (*Redis, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	server := resp.ServerOf(o)
	server.DialTimeout = redisDialTime
	r := &Redis{trust: trust, primary: primary}
	r.raffles.anew, r.products.anew = r.readCatalogue, r.readGoods
	sent, light, heavy := newPipelines(reg), lightLimits, heavyLimits
	light.Sent, heavy.Sent = sent.sent("light"), sent.sent("heavy")
	r.client = autopipe.New(autopipe.Options{
		Server: server, VersionKey: readmodel.CheckpointKey, Budget: bidbook.RedisBudget, HeldUp: bidbook.RedisHeldUp,
		MaxLight: maxLight, Light: light, Heavy: heavy, Ended: r.pipelineEnded,
	}, r.validate)
	return r, nil
}

// Report sets the function that is told how each pipeline ended: nil, or the error of all its lookups.
func (r *Redis) Report(ended func(error)) { r.ended.Store(&ended) }

func (r *Redis) pipelineEnded(err error) {
	if f := r.ended.Load(); f != nil {
		(*f)(err)
	}
}

// Close ends the connections.
func (r *Redis) Close() { r.client.Close() }

// NewClient makes a client of one server for everything except lookups. It gives up when the context ends and never
// retries. It does not connect yet.
func NewClient(url string) (*redis.Client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = redisDialTime
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o), nil
}

// Probe reads the checkpoint.
func (r *Redis) Probe(ctx context.Context) (bidbook.Position, error) {
	q := r.client.Request()
	defer q.Release()
	p, err := r.ask(ctx, q, lsn.Position{}, func(readmodel.Epoch) {})
	return p.at, err
}

// nothing is the snapshot of a lookup that got no replies.
var nothing = &snapshot{}

// ask sends the lookups that write puts into q and returns what the checkpoints around them prove. write must know
// the epoch before the checkpoint is read, so it gets the last epoch seen. If the checkpoint shows another epoch, the
// lookups are sent again.
func (r *Redis) ask(ctx context.Context, q *request, minLSN lsn.Position, write func(readmodel.Epoch)) (*snapshot, error) {
	if err := r.trust.usable(); err != nil {
		return nothing, err
	}
	for range 2 {
		epoch := readmodel.Epoch(r.epoch.Load())
		q.Reset()
		write(epoch)
		q.Share()
		if p, err := r.worth(ctx, q, minLSN); err != nil {
			return p, err
		}
		p, err := q.Do(ctx)
		switch {
		case err != nil:
			return nothing, notSent(err)
		case p.err != nil:
			return p, p.err
		case !r.primary.Reached(p.at.At, minLSN):
			return p, fmt.Errorf("%w: at %s", bidbook.ErrBehind, p.at.At)
		case p.checkpoint.Epoch == epoch:
			return p, nil
		}
		r.epoch.Store(uint64(p.checkpoint.Epoch))
	}
	return nothing, fmt.Errorf("%w: the epoch changed twice", bidbook.ErrIncomplete)
}

// worth fails if a heavy lookup wants a minLSN that Redis has not reached. A light lookup finds that out.
func (r *Redis) worth(ctx context.Context, q *request, minLSN lsn.Position) (*snapshot, error) {
	if minLSN == (lsn.Position{}) || q.Weight() <= maxLight {
		return nothing, nil
	}
	if p := r.latest.Load(); p != nil && r.primary.Reached(p.at.At, minLSN) {
		return nothing, nil
	}
	light := r.client.Request()
	defer light.Release()
	return r.ask(ctx, light, minLSN, func(readmodel.Epoch) {})
}

// again does further lookups for the answer that p belongs to. They fail unless the checkpoints around them have the
// epoch, token and phase of p.
func (r *Redis) again(ctx context.Context, q *request, p *snapshot, write func(readmodel.Epoch)) error {
	q.Reset()
	write(p.checkpoint.Epoch)
	now, err := q.Do(ctx)
	switch {
	case err != nil:
		return notSent(err)
	case now.err != nil:
		return now.err
	}
	return same(p.checkpoint, now.checkpoint)
}

// notSent turns the error of a request that was not sent into ErrBusy, because Redis has not failed.
func notSent(err error) error {
	if errors.Is(err, autopipe.ErrFull) || errors.Is(err, autopipe.ErrExpired) {
		return fmt.Errorf("%w: %w", bidbook.ErrBusy, err)
	}
	return err
}

// validate believes the lookups between two checkpoints if both have the same epoch, token and phase, if they are of
// the primary's database and history, and if nothing is half applied (R1).
func (r *Redis) validate(before, after []byte) *snapshot {
	c, err := r.believed(before)
	if err == nil && !bytes.Equal(before, after) {
		var c2 readmodel.Checkpoint
		if c2, err = r.believed(after); err == nil {
			err = same(c, c2)
		}
	}
	p := &snapshot{checkpoint: c, err: err, at: bidbook.Position{Path: bidbook.PathRedis, At: c.Position(), Beat: c.Beat}}
	if err == nil {
		p.at.LagMillis = r.primary.Lag(c.Beat).Milliseconds()
		r.latest.Store(p)
	}
	return p
}

func (r *Redis) believed(value []byte) (readmodel.Checkpoint, error) {
	if value == nil {
		return readmodel.Checkpoint{}, fmt.Errorf("%w: no checkpoint", bidbook.ErrIncomplete)
	}
	c, err := readmodel.ParseCheckpoint(string(value))
	if err != nil {
		return c, err
	}
	return c, r.trust.believes(c)
}

func same(a, b readmodel.Checkpoint) error {
	if a.Epoch != b.Epoch || a.Token != b.Token || a.Phase != b.Phase {
		return fmt.Errorf("%w: another epoch, replicator or large transaction came in between", bidbook.ErrIncomplete)
	}
	return nil
}
