package bidbook

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
)

// The budgets bound the time that a path may cost a read, apart from waiting for a turn or for a Min-LSN.
const (
	RedisBudget = 50 * time.Millisecond
	// RedisHeldUp is how long a lookup may wait while Redis is quick and this process lacks a processor. The SQL paths would
	// lack it as well.
	RedisHeldUp = 600 * time.Millisecond
	SQLBudget   = 250 * time.Millisecond
	ScanBudget  = 10 * time.Second
)

// Connections per pool, at most. One client more than pgpool-II's num_init_children would hang, so the replica's pools of all
// instances together must stay below that.
const (
	ReplicaConns = 16
	StandbyConns = 16
	PrimaryConns = 8
	ScanConns    = 2
)

// connsPerCore bounds the pools of a small machine. Lookups that wait share a transaction, so with more connections each
// transaction only serves fewer of them, and after a promotion all are opened anew, for some 10 ms of a core each.
const connsPerCore = 4

// Conns is the size of a pool that may have so many connections.
func Conns(most int) int { return min(most, connsPerCore*runtime.GOMAXPROCS(0)) }

// redisBreak is the longest pause between two trials of Redis. A trial costs one read at most RedisBudget, and without Redis
// all reads cost several times as much.
const redisBreak = 500 * time.Millisecond

// sqlLookups is how many lookups may be under way on a path to the standby. Most lookups share transactions, so each
// costs less the more of them there are.
const sqlLookups = 64

// undecidedPlaces is half of the places of one SQL path.
const undecidedPlaces = sqlLookups / 2

// A count takes a core of the database for up to 200 ms, at 0.2 to 0.8 us a bid. Its place stays taken for a rest
// afterwards, so that all counts together read half a million bids a second at most, whatever the number of clients
// and the delay of the network.
const (
	countingPlaces  = 2
	countingWaiting = 16
	countingRest    = 4 * time.Microsecond // for each bid that was counted
	tooMany         = 400_000              // how many bids a count that was given up stands for
)

// Reads with a Min-LSN that only the primary has reached must not slow down the bids, so only lastPlaces of them are
// on the primary at once.
const (
	lastPlaces  = 2
	lastWaiting = 16
)

// Want is what a request demands: the positions that the answer must reach (Min of the request, From of its list's
// first page), and the path to ask ("" for any).
type Want struct {
	Min, From lsn.Position
	Force     Path

	sqlOnly bool
	counts  *int64 // how many bids the lookup has counted; nil if it counts none
}

// Paths are the readers of a chain; all are needed.
type Paths struct {
	Redis                           Reader
	Replica, Standby, Primary, Scan Finder
}

// Staleness bounds how old an answer may be. A read waits up to MinLSN on each path for a wanted position. If Redis
// lags more than RedisLag, a fresher standby answers instead. If the standby lags more than StandbyLag, the primary
// answers what only SQL can answer. While the primary changes, a read waits longer for Redis.
type Staleness struct{ MinLSN, RedisLag, StandbyLag time.Duration }

// Chain asks one path after the other until one answers.
type Chain struct {
	paths     []*path // the first is Redis
	primary   *primary.Watch
	staleness Staleness
	log       *slog.Logger
	metrics   *metrics
	left      atomic.Pointer[Position] // where Redis stands while fresher standbys answer, otherwise nil
	// undecided admits lookups to SQL that Redis could not decide (ErrUndecided). It has half of the places, so that
	// many lookups of a raffle that Redis lacks, or of guessed raffle ids, leave places for lookups that only SQL can
	// answer.
	undecided *gate
	// counting admits raffles' details to SQL, because each of them counts all bids of a raffle.
	counting *gate
	// last admits reads with a Min-LSN to the primary.
	last *gate
	// changes admits reads that wait while the primary changes.
	changes *gate
	// follows admits reads that wait longer for Redis while the primary changes.
	follows  *gate
	changing func() bool
}

// NewChain makes a chain.
func NewChain(p Paths, primary *primary.Watch, staleness Staleness, log *slog.Logger, reg prometheus.Registerer) *Chain {
	c := &Chain{primary: primary, staleness: staleness, log: log, metrics: newMetrics(reg),
		undecided: newGate(undecidedPlaces, sqlQueue, sqlWaiting), counting: newGate(countingPlaces, sqlQueue, countingWaiting),
		last: newGate(lastPlaces, sqlQueue, lastWaiting), changes: newGate(changeWaiting, 0, 0), follows: newGate(followWaiting, 0, 0), changing: primary.Changing}
	for _, one := range []struct {
		name   Path
		reader Reader
		budget time.Duration
		poll   time.Duration
		slots  int // 0: no gate
	}{
		{PathRedis, p.Redis, RedisBudget, time.Millisecond, 0},
		{PathReplica, p.Replica, SQLBudget, 5 * time.Millisecond, sqlLookups},
		{PathStandby, p.Standby, SQLBudget, 5 * time.Millisecond, sqlLookups},
		{PathPrimary, p.Primary, SQLBudget, 5 * time.Millisecond, Conns(PrimaryConns)},
		{PathScan, p.Scan, ScanBudget, 5 * time.Millisecond, ScanConns},
	} {
		p := &path{name: one.name, span: "read " + string(one.name), reader: one.reader, budget: one.budget,
			waiter: &waiter{probe: one.reader.Probe, reached: primary.Reached, every: one.poll, limit: one.budget}}
		p.turn(time.Now()) // a service that has just been started has yet to find its servers
		if one.name == PathRedis {
			p.breaker.limit = redisBreak
		}
		if one.slots > 0 {
			p.gate = newGate(one.slots, sqlQueue, sqlWaiting)
			p.waiter.ended = func(err error) { c.done(context.Background(), p, false, err) }
		}
		if r, is := one.reader.(reporter); is {
			p.reports = true
			r.Report(func(err error) { c.done(context.Background(), p, false, err) })
		}
		c.paths = append(c.paths, p)
		c.metrics.open.WithLabelValues(string(one.name)).Set(0)
	}
	return c
}

// reporter is a reader whose lookups may share a failure. It tells the function ended how each pipeline ended.
type reporter interface{ Report(ended func(error)) }

// Bids answers from the first path that can. The error is ErrNotFound, ErrUnavailable, ErrBeyond,
// ErrBehind (a forced path) or the end of the request.
func (c *Chain) Bids(ctx context.Context, q BidsQuery, w Want) (BidPage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (BidPage, Position, error) {
		return r.Bids(ctx, q, minLSN)
	})
}

// Raffles is as Bids.
func (c *Chain) Raffles(ctx context.Context, q RafflesQuery, w Want) (RafflePage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (RafflePage, Position, error) {
		return r.Raffles(ctx, q, minLSN)
	})
}

// Raffle is as Bids.
func (c *Chain) Raffle(ctx context.Context, id int64, w Want) (RaffleDetail, Position, error) {
	w.counts = new(int64)
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (RaffleDetail, Position, error) {
		d, at, err := r.Raffle(ctx, id, minLSN)
		if errors.Is(err, ErrTooMuch) {
			*w.counts += tooMany
		}
		for _, s := range d.Sizes {
			*w.counts += s.Count
		}
		return d, at, err
	})
}

// Entry is as Bids.
func (c *Chain) Entry(ctx context.Context, id int64, w Want) (readmodel.Raffle, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (readmodel.Raffle, Position, error) {
		return r.Entry(ctx, id, minLSN)
	})
}

// SizeBids is as Bids.
func (c *Chain) SizeBids(ctx context.Context, q SizeQuery, w Want) (BidPage, Position, error) {
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (BidPage, Position, error) {
		return r.SizeBids(ctx, q, minLSN)
	})
}

// Bid is as Bids, on the SQL paths; the error for an unknown bid is ErrNoBid.
func (c *Chain) Bid(ctx context.Context, raffleID, id int64, w Want) (FoundBid, Position, error) {
	return find(ctx, c, w, func(ctx context.Context, f Finder, minLSN lsn.Position) (FoundBid, Position, error) {
		return f.Bid(ctx, raffleID, id, minLSN)
	})
}

// UserBids is as Bids, on the SQL paths.
func (c *Chain) UserBids(ctx context.Context, q UserQuery, w Want) (UserPage, Position, error) {
	return find(ctx, c, w, func(ctx context.Context, f Finder, minLSN lsn.Position) (UserPage, Position, error) {
		return f.UserBids(ctx, q, minLSN)
	})
}

// Ready returns nil if Redis, the replica or the standby answers.
func (c *Chain) Ready(ctx context.Context) error {
	for _, p := range c.paths {
		if p.name == PathPrimary || p.name == PathScan {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, p.budget)
		_, err := p.reader.Probe(ctx)
		cancel()
		if err == nil {
			return nil
		}
		c.log.DebugContext(ctx, "path not ready", "path", p.name, "error", err)
	}
	return ErrUnavailable // without the causes, which may hold addresses
}

type lookup[T any] func(ctx context.Context, r Reader, minLSN lsn.Position) (T, Position, error)

// find runs a lookup for which Redis holds no keys.
func find[T any](ctx context.Context, c *Chain, w Want, look func(context.Context, Finder, lsn.Position) (T, Position, error)) (T, Position, error) {
	w.sqlOnly = true
	return run(ctx, c, w, func(ctx context.Context, r Reader, minLSN lsn.Position) (T, Position, error) {
		if f, ok := r.(Finder); ok {
			return look(ctx, f, minLSN)
		}
		var none T
		return none, Position{}, errNotThere
	})
}

// errNotThere says that the forced path does not hold what is asked for.
var errNotThere = errors.New("this path does not hold what was asked for")
