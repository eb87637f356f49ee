package sqlbook

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// Bids reads an index range.
func (p *Postgres) Bids(ctx context.Context, q bidbook.BidsQuery, minLSN lsn.Position) (bidbook.BidPage, bidbook.Position, error) {
	bids := q.Room
	var known bool
	list := p.newest(ctx, q, &bids)
	if q.Order == bidbook.Highest {
		list = p.highest(ctx, q, &bids)
	}
	at, err := p.read(ctx, minLSN, list, func(db *readdb.Queries) (err error) {
		known, err = db.RaffleExists(ctx, q.RaffleID)
		return
	})
	if err == nil && !known {
		err = bidbook.ErrNotFound
	}
	bids, more := bidbook.Cut(bids, q.Limit)
	return bidbook.BidPage{Bids: bids, More: more}, at, err
}

func (p *Postgres) newest(ctx context.Context, q bidbook.BidsQuery, into *[]readmodel.Bid) statement {
	after := from(q.After)
	params := readdb.BidsNewestParams{RaffleID: q.RaffleID, Size: q.Size,
		BeforeCreatedAt: time.UnixMicro(after.At), BeforeID: after.ID, RowLimit: int32(q.Limit) + 1}
	if p.path == bidbook.PathScan {
		return list(into, func(db *readdb.Queries) ([]readdb.ScanBidsNewestRow, error) {
			return db.ScanBidsNewest(ctx, readdb.ScanBidsNewestParams(params))
		}, func(r readdb.ScanBidsNewestRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
	}
	return list(into, func(db *readdb.Queries) ([]readdb.BidsNewestRow, error) { return db.BidsNewest(ctx, params) }, bid)
}

func (p *Postgres) highest(ctx context.Context, q bidbook.BidsQuery, into *[]readmodel.Bid) statement {
	// The negative price of no bid is this low.
	start := readdb.BidsHighestParams{RaffleID: q.RaffleID, Size: q.Size, AfterNegativePrice: math.MinInt32, RowLimit: int32(q.Limit) + 1}
	if q.After != nil {
		start.AfterNegativePrice, start.AfterCreatedAt, start.AfterID = -q.After.Price, time.UnixMicro(q.After.At), q.After.ID
	}
	if p.path == bidbook.PathScan {
		return list(into, func(db *readdb.Queries) ([]readdb.ScanBidsHighestRow, error) {
			return db.ScanBidsHighest(ctx, readdb.ScanBidsHighestParams(start))
		}, func(r readdb.ScanBidsHighestRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
	}
	return list(into, func(db *readdb.Queries) ([]readdb.BidsHighestRow, error) { return db.BidsHighest(ctx, start) },
		func(r readdb.BidsHighestRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
}

// SizeBids reads an index range.
func (p *Postgres) SizeBids(ctx context.Context, q bidbook.SizeQuery, minLSN lsn.Position) (bidbook.BidPage, bidbook.Position, error) {
	after, bids := from(q.After), q.Room
	params := readdb.BidsOfSizeParams{Size: q.Size, BeforeCreatedAt: time.UnixMicro(after.At), BeforeID: after.ID, RowLimit: int32(q.Limit) + 1}
	read := list(&bids, func(db *readdb.Queries) ([]readdb.BidsOfSizeRow, error) { return db.BidsOfSize(ctx, params) },
		func(r readdb.BidsOfSizeRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
	if p.path == bidbook.PathScan {
		read = list(&bids, func(db *readdb.Queries) ([]readdb.ScanBidsOfSizeRow, error) {
			return db.ScanBidsOfSize(ctx, readdb.ScanBidsOfSizeParams(params))
		}, func(r readdb.ScanBidsOfSizeRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
	}
	at, err := p.read(ctx, minLSN, read)
	bids, more := bidbook.Cut(bids, q.Limit)
	return bidbook.BidPage{Bids: bids, More: more}, at, err
}

// UserBids reads an index range.
func (p *Postgres) UserBids(ctx context.Context, q bidbook.UserQuery, minLSN lsn.Position) (bidbook.BidPage, bidbook.Position, error) {
	after := from(q.After)
	var bids []readmodel.Bid
	at, err := p.read(ctx, minLSN, list(&bids, func(db *readdb.Queries) ([]readdb.BidsOfUserRow, error) {
		return db.BidsOfUser(ctx, readdb.BidsOfUserParams{UserID: q.UserID, BeforeCreatedAt: time.UnixMicro(after.At), BeforeID: after.ID, RowLimit: int32(q.Limit) + 1})
	}, func(r readdb.BidsOfUserRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) }))
	bids, more := bidbook.Cut(bids, q.Limit)
	return bidbook.BidPage{Bids: bids, More: more}, at, err
}

// Bid reads one row by its primary key.
func (p *Postgres) Bid(ctx context.Context, raffleID, id int64, minLSN lsn.Position) (readmodel.Bid, bidbook.Position, error) {
	var found readmodel.Bid
	missing := false
	at, err := p.read(ctx, minLSN, func(db *readdb.Queries) error {
		row, err := db.Bid(ctx, readdb.BidParams{RaffleID: raffleID, ID: id})
		if missing = errors.Is(err, pgx.ErrNoRows); missing {
			return nil
		}
		found = bid(readdb.BidsNewestRow(row))
		return err
	})
	if err == nil && missing {
		err = bidbook.ErrNoBid
	}
	return found, at, err
}

// list is a statement whose rows are bids.
func list[R any](into *[]readmodel.Bid, query func(*readdb.Queries) ([]R, error), convert func(R) readmodel.Bid) statement {
	return func(db *readdb.Queries) error {
		rows, err := query(db)
		*into = (*into)[:0]
		for _, r := range rows {
			*into = append(*into, convert(r))
		}
		return err
	}
}

func from(after *bidbook.Keyset) bidbook.Keyset {
	if after == nil {
		return bidbook.Keyset{At: math.MaxInt64, ID: math.MaxInt64}
	}
	return *after
}

func bid(r readdb.BidsNewestRow) readmodel.Bid {
	return readmodel.Bid{RaffleID: r.RaffleID, ID: r.ID, UserID: r.UserID, Size: r.Size, Price: r.Price,
		Quantity: r.Quantity, CreatedAt: r.CreatedAt.UnixMicro()}
}
