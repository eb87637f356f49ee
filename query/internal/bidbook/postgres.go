package bidbook

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// Postgres reads the database through one pool: pgpool-II, the standby or the primary.
type Postgres struct {
	pool *pgxpool.Pool
	path Path
}

// NewPostgres makes a reader; path is PathReplica, PathStandby or PathPrimary.
func NewPostgres(pool *pgxpool.Pool, path Path) *Postgres { return &Postgres{pool: pool, path: path} }

// Connections per pool. One client more than pgpool-II's num_init_children would hang, so keep the
// replica's pools of all instances below that.
const (
	ReplicaConns = 16
	StandbyConns = 16
	PrimaryConns = 8
)

const statementTimeout = SQLBudget * 4 / 5

// NewPool makes a pool of up to size connections. It does not connect yet.
func NewPool(url string, size int32) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	c.MaxConns = size
	c.MinIdleConns = 1
	c.ConnConfig.ConnectTimeout = time.Second
	// A preferred standby that was away is taken back within this time.
	c.MaxConnLifetime = time.Minute
	c.MaxConnLifetimeJitter = 15 * time.Second
	// The server gives up by itself, since the reader leaves without saying so, and before the reader does:
	// so a server that is up but has too much to read is not taken for one that hangs.
	c.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(statementTimeout.Milliseconds())
	return pgxpool.NewWithConfig(context.Background(), c)
}

// errTooMuch: counting a raffle's bids took the server too long. Its other reads don't.
var errTooMuch = errors.New("too many bids to count")

// errOtherNode: pgpool changed the node between two statements, so the position is not the data's.
var errOtherNode = errors.New("the node changed within a read")

// read runs the statements in one READ COMMITTED transaction and one round trip. The position comes
// first, in a statement of its own: each statement sees at least what was committed before it.
func (p *Postgres) read(ctx context.Context, min readmodel.LSN, statements ...statement) (Position, error) {
	var node, after readdb.NodePositionRow
	all := append([]statement{func(q *readdb.Queries) (err error) { node, err = q.NodePosition(ctx); return }}, statements...)
	if p.path == PathReplica {
		all = append(all, func(q *readdb.Queries) (err error) { after, err = q.NodePosition(ctx); return })
	}
	if err := p.send(ctx, all); err != nil {
		return Position{}, fmt.Errorf("%s: %w", p.path, err)
	}
	if p.path == PathReplica && node.Standby != after.Standby {
		return Position{}, errOtherNode
	}
	at, err := p.position(node)
	if err == nil && at.LSN < min {
		err = fmt.Errorf("%w: at %s", ErrBehind, at.LSN)
	}
	return at, err
}

func (p *Postgres) send(ctx context.Context, statements []statement) (err error) {
	var r recorder
	r.batch.Queue("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")
	for _, s := range statements {
		if err := s(readdb.New(&r)); !errors.Is(err, errRecorded) {
			return fmt.Errorf("statement not recorded: %w", err)
		}
	}
	r.batch.Queue("COMMIT")
	results := p.pool.SendBatch(ctx, &r.batch)
	defer func() { err = errors.Join(err, results.Close()) }()
	if _, err := results.Exec(); err != nil {
		return err
	}
	q := readdb.New(player{results})
	for _, s := range statements {
		if err := s(q); err != nil {
			return err
		}
	}
	_, err = results.Exec()
	return err
}

func (p *Postgres) position(node readdb.NodePositionRow) (Position, error) {
	lsn, err := readmodel.ParseLSN(node.Lsn)
	if err != nil {
		return Position{}, err
	}
	if !node.Standby {
		return Position{Path: PathPrimary, LSN: lsn}, nil
	}
	if p.path == PathPrimary {
		return Position{}, errors.New("the primary's address leads to a standby")
	}
	// The probe is written every second: one that is younger than two says nothing bad (P7).
	const quiet = 2000
	return Position{Path: p.path, LSN: lsn, LagMillis: max(node.ProbeAgeMs-quiet, 0)}, nil
}

// Probe asks for the position alone.
func (p *Postgres) Probe(ctx context.Context) (Position, error) { return p.read(ctx, 0) }

// Bids reads an index range.
func (p *Postgres) Bids(ctx context.Context, q BidsQuery, min readmodel.LSN) (BidPage, Position, error) {
	var bids []readmodel.Bid
	var known bool
	list := newest(ctx, q, &bids)
	if q.Order == Highest {
		list = highest(ctx, q, &bids)
	}
	at, err := p.read(ctx, min, list, func(db *readdb.Queries) (err error) {
		known, err = db.RaffleExists(ctx, q.RaffleID)
		return
	})
	if err == nil && !known {
		err = ErrNotFound
	}
	bids, more := cut(bids, q.Limit)
	return BidPage{Bids: bids, More: more}, at, err
}

func newest(ctx context.Context, q BidsQuery, into *[]readmodel.Bid) statement {
	after := from(q.After)
	return func(db *readdb.Queries) error {
		rows, err := db.BidsNewest(ctx, readdb.BidsNewestParams{RaffleID: q.RaffleID, Size: q.Size,
			BeforeCreatedAt: time.UnixMicro(after.At), BeforeID: after.ID, RowLimit: int32(q.Limit) + 1})
		*into = make([]readmodel.Bid, len(rows))
		for i, r := range rows {
			(*into)[i] = bid(r)
		}
		return err
	}
}

func highest(ctx context.Context, q BidsQuery, into *[]readmodel.Bid) statement {
	// The negative price of no bid is this low.
	start := readdb.BidsHighestParams{RaffleID: q.RaffleID, Size: q.Size, AfterNegativePrice: math.MinInt32, RowLimit: int32(q.Limit) + 1}
	if q.After != nil {
		start.AfterNegativePrice, start.AfterCreatedAt, start.AfterID = -q.After.Price, time.UnixMicro(q.After.At), q.After.ID
	}
	return func(db *readdb.Queries) error {
		rows, err := db.BidsHighest(ctx, start)
		*into = make([]readmodel.Bid, len(rows))
		for i, r := range rows {
			(*into)[i] = bid(readdb.BidsNewestRow(r))
		}
		return err
	}
}

func from(after *Keyset) Keyset {
	if after == nil {
		return last
	}
	return *after
}

func bid(r readdb.BidsNewestRow) readmodel.Bid {
	return readmodel.Bid{RaffleID: r.RaffleID, ID: r.ID, UserID: r.UserID, Size: r.Size, Price: r.Price,
		Quantity: r.Quantity, CreatedAt: r.CreatedAt.UnixMicro()}
}

// Raffles reads the index by end.
func (p *Postgres) Raffles(ctx context.Context, q RafflesQuery, min readmodel.LSN) (RafflePage, Position, error) {
	after := from(q.After)
	var found []readmodel.Raffle
	at, err := p.read(ctx, min, func(db *readdb.Queries) error {
		rows, err := db.RafflesLatestEnd(ctx, readdb.RafflesLatestEndParams{BeforeEndsAt: time.UnixMicro(after.At),
			BeforeID: after.ID, Status: q.Status.String(), RowLimit: int32(q.Limit) + 1})
		found = make([]readmodel.Raffle, len(rows))
		for i, r := range rows {
			found[i] = raffle(r)
		}
		return err
	})
	raffles, more := cut(found, q.Limit)
	return RafflePage{Raffles: raffles, More: more}, at, err
}

func raffle(r readdb.Raffle) readmodel.Raffle {
	v := readmodel.Raffle{ID: r.ID, ProductID: r.ProductID, SellerID: r.SellerID,
		StartsAt: r.StartsAt.UnixMicro(), EndsAt: r.EndsAt.UnixMicro()}
	if r.ClosedAt != nil {
		v.ClosedAt = r.ClosedAt.UnixMicro()
	}
	if r.ClosingPrice != nil {
		v.ClosingPrice = *r.ClosingPrice
	}
	return v
}

// Raffle reads the raffle with its product and counts its bids.
func (p *Postgres) Raffle(ctx context.Context, id int64, min readmodel.LSN) (RaffleDetail, Position, error) {
	var d RaffleDetail
	found := true
	at, err := p.read(ctx, min, func(db *readdb.Queries) error {
		row, err := db.Raffle(ctx, id)
		if errors.Is(err, pgx.ErrNoRows) {
			found = false
			return nil
		}
		d.Raffle, d.Product = raffle(row.Raffle), product(row.Product)
		return err
	}, func(db *readdb.Queries) error {
		rows, err := db.RaffleSizes(ctx, id)
		d.Sizes = make([]SizeSummary, len(rows))
		for i, r := range rows {
			d.Sizes[i] = SizeSummary(r)
		}
		return err
	})
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "57014": // query_canceled
		err = fmt.Errorf("%w: %w", errTooMuch, err)
	case err == nil && !found:
		err = ErrNotFound
	}
	return d, at, err
}

func product(p readdb.Product) readmodel.Product {
	return readmodel.Product{ID: p.ID, Name: p.Name, Model: p.Model, Color: p.Color, Category: p.Category,
		ImageURL: p.ImageUrl, ReleasePrice: p.ReleasePrice, ReleaseDate: p.ReleaseDate.Time.Format(time.DateOnly)}
}
