package bidbook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bracket"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// Redis reads the read model that the replicator keeps. Lookups share pipelines, each between two reads of
// the checkpoint.
type Redis struct {
	guard   *Guard
	primary *primary.Watch
	client  *bracket.Client[*proof]
	epoch   atomic.Uint64 // the last one seen

	outlines outlines
}

type request = bracket.Request[*proof]

// proof is what the checkpoints around a pipeline say about all its lookups.
type proof struct {
	checkpoint readmodel.Checkpoint // the first
	at         Position
	err        error
}

// How much is sent to Redis at once. Two pipelines keep Redis busy while the answers of the other one are
// handed out; more only make them smaller. A lookup takes Redis some 10 us, and a large one as long as its rows, some
// 0.1 us each: a full pipeline stays far below the budget.
const (
	redisPipelines = 2
	redisBatch     = 256
	redisRows      = 20_000
	redisWaiting   = 4096
)

// NewRedis makes a reader of the server that a redis:// URL names. It does not connect yet.
func NewRedis(url string, guard *Guard, primary *primary.Watch) (*Redis, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	r := &Redis{guard: guard, primary: primary}
	r.client = bracket.New(bracket.Options{
		Dial: dialer(o), Username: o.Username, Password: o.Password, DB: o.DB,
		Mark: readmodel.CheckpointKey, Budget: RedisBudget,
		Connections: redisPipelines, Batch: redisBatch, Rows: redisRows, Queue: redisWaiting,
	}, r.judge)
	return r, nil
}

func dialer(o *redis.Options) func(context.Context) (net.Conn, error) {
	if o.TLSConfig != nil {
		d := tls.Dialer{Config: o.TLSConfig}
		return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", o.Addr) }
	}
	var d net.Dialer
	return func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, "tcp", o.Addr) }
}

// Close ends the connections.
func (r *Redis) Close() { r.client.Close() }

// NewRedisClient makes a client for what is not a lookup, of one server, which gives up with the context
// and never retries. It does not connect yet.
func NewRedisClient(url string) (*redis.Client, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis URL: %w", err)
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	o.DialerRetries = 1
	o.DialTimeout = 500 * time.Millisecond
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(o), nil
}

// Probe reads the checkpoint.
func (r *Redis) Probe(context.Context) (Position, error) {
	q := r.client.Request()
	defer q.Release()
	p, err := r.ask(q, lsn.Position{}, func(readmodel.Epoch) {})
	return p.at, err
}

// nothing is the proof of an answer that didn't come.
var nothing = &proof{}

// ask sends the lookups that write puts into q and returns what the checkpoints around them prove. The
// lookups need the epoch before it is read, so they use the last one seen, and are done again if that is
// over.
func (r *Redis) ask(q *request, min lsn.Position, write func(readmodel.Epoch)) (*proof, error) {
	if err := r.guard.usable(); err != nil {
		return nothing, err
	}
	for range 2 {
		epoch := readmodel.Epoch(r.epoch.Load())
		q.Reset()
		write(epoch)
		p, err := q.Do()
		switch {
		case err != nil:
			return nothing, notSent(err)
		case p.err != nil:
			return p, p.err
		case !r.primary.Reached(p.at.At, min):
			return p, fmt.Errorf("%w: at %s", ErrBehind, p.at.At)
		case p.checkpoint.Epoch == epoch:
			return p, nil
		}
		r.epoch.Store(uint64(p.checkpoint.Epoch))
	}
	return nothing, fmt.Errorf("%w: the epoch changed twice", ErrIncomplete)
}

// again does further lookups of the answer that p belongs to: they count only if the checkpoints around
// them have its epoch and token.
func (r *Redis) again(q *request, p *proof, write func(readmodel.Epoch)) error {
	q.Reset()
	write(p.checkpoint.Epoch)
	now, err := q.Do()
	switch {
	case err != nil:
		return notSent(err)
	case now.err != nil:
		return now.err
	}
	return same(p.checkpoint, now.checkpoint)
}

// notSent tells what is no failure of Redis.
func notSent(err error) error {
	switch {
	case errors.Is(err, bracket.ErrFull):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.Is(err, bracket.ErrBehindFailure):
		return fmt.Errorf("%w: %w", ErrSpared, err)
	}
	return err
}

// judge believes the lookups between two checkpoints if both are of the same epoch and token, of the right
// database, and nothing is half applied (R1).
func (r *Redis) judge(before, after []byte) *proof {
	c, err := r.believed(before)
	if err == nil && !bytes.Equal(before, after) {
		var c2 readmodel.Checkpoint
		if c2, err = r.believed(after); err == nil {
			err = same(c, c2)
		}
	}
	p := &proof{checkpoint: c, err: err, at: Position{Path: PathRedis, At: c.Position(), Beat: c.Beat}}
	if err == nil {
		p.at.LagMillis = r.primary.Lag(c.Beat).Milliseconds()
	}
	return p
}

func (r *Redis) believed(value []byte) (readmodel.Checkpoint, error) {
	if value == nil {
		return readmodel.Checkpoint{}, fmt.Errorf("%w: no checkpoint", ErrIncomplete)
	}
	c, err := readmodel.ParseCheckpoint(string(value))
	if err != nil {
		return c, err
	}
	return c, r.guard.believes(c)
}

func same(a, b readmodel.Checkpoint) error {
	if a.Epoch != b.Epoch || a.Token != b.Token || a.Phase != b.Phase {
		return fmt.Errorf("%w: another epoch, replicator or large transaction came in between", ErrIncomplete)
	}
	return nil
}
