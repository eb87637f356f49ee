// Package sqlbook answers lookups by indexed reads of PostgreSQL: through pgpool-II, on the standby or on the primary.
package sqlbook

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/time/rate"

	"github.com/stock-pyramid/stock-pyramid/internal/heartbeat"
	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/pg"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// Postgres reads the database through one pool: pgpool-II, the standby or the primary. With PathScan its lists use no
// index.
type Postgres struct {
	pool    *pgxpool.Pool
	path    bidbook.Path
	primary *primary.Watch
	shared  sharing
	// known is the newest position that a primary has proven; nil if none has.
	known atomic.Pointer[known]
	// astray bounds how many connections a second are given up because they lead to a primary.
	astray *rate.Limiter
}

// known is a position that a primary has proven. Only the same run of the same server relies on it.
type known struct {
	at      lsn.LSN
	started time.Time
}

// New makes a reader; path is PathReplica, PathStandby, PathPrimary or PathScan.
func New(pool *pgxpool.Pool, path bidbook.Path, primary *primary.Watch) *Postgres {
	p := &Postgres{pool: pool, path: path, primary: primary, astray: rate.NewLimiter(astrayRate, 1)}
	p.shared.run = p.transact
	return p
}

// NewPool makes a pool of up to size connections for statements within a budget. It does not connect yet.
func NewPool(url string, size int32, budget time.Duration, options ...func(*pgxpool.Config)) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	c.MaxConns = size
	// When Redis goes away, all its reads come here within a moment.
	c.MinIdleConns = min(transactions, size/2)
	c.ConnConfig.ConnectTimeout = time.Second
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, c.ConnConfig.ConnectTimeout)
		defer cancel()
		conn.PgConn().CustomData()[madeAt] = time.Now()
		return prepareUsual(ctx, conn)
	}
	c.BeforeConnect = func(_ context.Context, one *pgx.ConnConfig) error {
		pg.Refresh(&one.Config)
		return nil
	}
	// astrayAge is the time for a standby that was away.
	c.MaxConnLifetime = time.Minute
	c.MaxConnLifetimeJitter = 15 * time.Second
	// The reader leaves without telling the server, so the server gives up by itself. It does so before the reader,
	// so that a server with too much to read does not look like a server that hangs.
	c.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint((budget * 4 / 5).Milliseconds())
	for _, option := range options {
		option(c)
	}
	return pgxpool.NewWithConfig(context.Background(), c)
}

// read runs the statements of a light lookup, in one transaction with those of other lookups at the same time. The
// results of the statements may be used only if there is no error, because a lookup that leaves early leaves its
// statements running.
func (p *Postgres) read(ctx context.Context, minLSN lsn.Position, statements ...statement) (bidbook.Position, error) {
	return p.reached(p.shared.do(ctx, statements), minLSN)
}

// readAlone runs the statements of a heavy lookup in a transaction of their own.
func (p *Postgres) readAlone(ctx context.Context, minLSN lsn.Position, statements ...statement) (bidbook.Position, error) {
	return p.reached(p.transact(ctx, statements), minLSN)
}

func (p *Postgres) reached(o outcome, minLSN lsn.Position) (bidbook.Position, error) {
	if o.err == nil && !p.primary.Reached(o.at.At, minLSN) {
		return p.behind(o.at, minLSN, o.node)
	}
	return o.at, o.err
}

// before returns what NodePosition needs to know from earlier answers.
func (p *Postgres) before() readdb.NodePositionParams {
	if k := p.known.Load(); k != nil {
		return readdb.NodePositionParams{Known: k.at.String(), Started: k.started}
	}
	return readdb.NodePositionParams{Known: "0/0"}
}

// learn keeps a position that a primary has proven.
func (p *Postgres) learn(at lsn.LSN, started time.Time) {
	next := &known{at, started}
	for {
		k := p.known.Load()
		if k != nil && k.started.Equal(started) && k.at >= at || p.known.CompareAndSwap(k, next) {
			return
		}
	}
}

// behind tells ErrBehind from ErrBeyond. A primary that has flushed minLSN will soon hold it, unless a commit waits
// for a standby that is away.
func (p *Postgres) behind(at bidbook.Position, minLSN lsn.Position, node readdb.NodePositionRow) (bidbook.Position, error) {
	flushed, err := lsn.Parse(node.Flushed)
	if err != nil {
		return bidbook.Position{}, err
	}
	err = bidbook.ErrBehind
	if p.path == bidbook.PathPrimary && at.At.Timeline == p.primary.State().History.Present() {
		if all := (lsn.Position{Timeline: at.At.Timeline, LSN: flushed}); !p.primary.Reached(all, minLSN) {
			at.At, err = all, bidbook.ErrBeyond
		}
	}
	return at, fmt.Errorf("%w: at %s", err, at.At)
}

// believed says how far the answer is behind the primary, if the node is of the primary's history.
func (p *Postgres) believed(ctx context.Context, at bidbook.Position, node readdb.NodePositionRow) (bidbook.Position, error) {
	at.Beat = heartbeat.Beat{Number: node.Number, Nonce: node.Nonce, At: node.BeatAt}
	err := p.primary.Believe(ctx, primary.Sight{At: at.At, Beat: at.Beat, Started: node.Started, Primary: !node.Standby})
	if err != nil {
		return at, fmt.Errorf("%w: %w", bidbook.ErrIncomplete, err)
	}
	if lag := p.primary.Lag(at.Beat); at.Path != bidbook.PathPrimary {
		at.LagMillis = lag.Milliseconds()
	}
	return at, nil
}

func (p *Postgres) position(node readdb.NodePositionRow) (bidbook.Position, error) {
	read, err := lsn.Parse(node.Lsn)
	if err != nil {
		return bidbook.Position{}, err
	}
	at := lsn.Position{Timeline: uint32(node.Timeline), LSN: read}
	if !node.Standby {
		p.learn(read, node.Started)
		return bidbook.Position{Path: bidbook.PathPrimary, At: at}, nil
	}
	if p.path == bidbook.PathPrimary {
		return bidbook.Position{}, errors.New("the primary's address leads to a standby")
	}
	return bidbook.Position{Path: p.path, At: at}, nil
}

// Probe asks for the position alone.
func (p *Postgres) Probe(ctx context.Context) (bidbook.Position, error) {
	return p.read(ctx, lsn.Position{})
}

// Reach asks for the position alone, and fails with ErrBehind or ErrBeyond if that is before minLSN.
func (p *Postgres) Reach(ctx context.Context, minLSN lsn.Position) (bidbook.Position, error) {
	return p.read(ctx, minLSN)
}
