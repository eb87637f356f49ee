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
	var bids []readmodel.Bid
	var known bool
	list := p.newest(ctx, q, &bids)
	if q.Order == bidbook.Highest {
		list = p.highest(ctx, q, &bids)
	}
	exists := func(db *readdb.Queries) (err error) {
		known, err = db.RaffleExists(ctx, q.RaffleID)
		return err
	}
	if p.path != bidbook.PathScan {
		at, err := p.readRows(ctx, q.Limit, minLSN, list)
		if err != nil {
			return bidbook.BidPage{}, at, err
		}
		if len(bids) > 0 {
			return page(bids, q.Limit), at, nil
		}
	}
	// The list is empty also if there is no such raffle. It is read again together with the answer whether there is
	// one, so that both are of one position.
	at, err := p.readRows(ctx, q.Limit, minLSN, list, exists)
	if err != nil {
		return bidbook.BidPage{}, at, err
	}
	if !known {
		return bidbook.BidPage{}, at, bidbook.ErrNotFound
	}
	return page(bids, q.Limit), at, nil
}

// readRows does what read does for few rows, and what readAlone does for many.
func (p *Postgres) readRows(ctx context.Context, rows int, minLSN lsn.Position, statements ...statement) (bidbook.Position, error) {
	if rows > lightRows || p.path == bidbook.PathScan {
		return p.readAlone(ctx, minLSN, statements...)
	}
	return p.read(ctx, minLSN, statements...)
}

func page(bids []readmodel.Bid, limit int) bidbook.BidPage {
	bids, more := bidbook.Cut(bids, limit)
	return bidbook.BidPage{Bids: bids, More: more}
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
	after := from(q.After)
	var bids []readmodel.Bid
	params := readdb.BidsOfSizeParams{Size: q.Size, BeforeCreatedAt: time.UnixMicro(after.At), BeforeID: after.ID, RowLimit: int32(q.Limit) + 1}
	read := list(&bids, func(db *readdb.Queries) ([]readdb.BidsOfSizeRow, error) { return db.BidsOfSize(ctx, params) },
		func(r readdb.BidsOfSizeRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
	if p.path == bidbook.PathScan {
		read = list(&bids, func(db *readdb.Queries) ([]readdb.ScanBidsOfSizeRow, error) {
			return db.ScanBidsOfSize(ctx, readdb.ScanBidsOfSizeParams(params))
		}, func(r readdb.ScanBidsOfSizeRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
	}
	at, err := p.readRows(ctx, q.Limit, minLSN, read)
	if err != nil {
		return bidbook.BidPage{}, at, err
	}
	return page(bids, q.Limit), at, nil
}

// standingRows is the work for a bid with its standing, in rows.
const standingRows = 4

// UserBids reads an index range, and for each bid the best one of its raffle and size, in the same snapshot.
func (p *Postgres) UserBids(ctx context.Context, q bidbook.UserQuery, minLSN lsn.Position) (bidbook.UserPage, bidbook.Position, error) {
	after := from(q.After)
	var found []bidbook.StandingBid
	at, err := p.readRows(ctx, standingRows*q.Limit, minLSN, func(db *readdb.Queries) error {
		params := readdb.BidsOfUserInRaffleParams{UserID: q.UserID, RaffleID: q.RaffleID, BeforeCreatedAt: time.UnixMicro(after.At),
			BeforeID: after.ID, RowLimit: int32(q.Limit) + 1}
		rows, err := readUser(ctx, db, params)
		found = make([]bidbook.StandingBid, len(rows))
		for i, r := range rows {
			found[i] = bidbook.StandingBid{Standing: bidbook.StandingOf(r.Best, r.Closed), Bid: readmodel.Bid{RaffleID: r.RaffleID, ID: r.ID,
				UserID: r.UserID, Size: r.Size, Price: r.Price, Quantity: r.Quantity, CreatedAt: r.CreatedAt.UnixMicro()}}
		}
		return err
	})
	bids, more := bidbook.Cut(found, q.Limit)
	return bidbook.UserPage{Bids: bids, More: more}, at, err
}

// readUser reads the bids of a user in one raffle, or in all.
func readUser(ctx context.Context, db *readdb.Queries, q readdb.BidsOfUserInRaffleParams) ([]readdb.BidsOfUserRow, error) {
	if q.RaffleID == 0 {
		return db.BidsOfUser(ctx, readdb.BidsOfUserParams{UserID: q.UserID, BeforeCreatedAt: q.BeforeCreatedAt, BeforeID: q.BeforeID, RowLimit: q.RowLimit})
	}
	rows, err := db.BidsOfUserInRaffle(ctx, q)
	all := make([]readdb.BidsOfUserRow, len(rows))
	for i, r := range rows {
		all[i] = readdb.BidsOfUserRow(r)
	}
	return all, err
}

// Bid reads one row by its primary key.
func (p *Postgres) Bid(ctx context.Context, raffleID, id int64, minLSN lsn.Position) (bidbook.FoundBid, bidbook.Position, error) {
	var found bidbook.FoundBid
	missing := false
	at, err := p.read(ctx, minLSN, func(db *readdb.Queries) error {
		row, err := db.Bid(ctx, readdb.BidParams{RaffleID: raffleID, ID: id})
		if missing = errors.Is(err, pgx.ErrNoRows); missing {
			return nil
		}
		found = bidbook.FoundBid{Final: row.Final, Bid: readmodel.Bid{RaffleID: row.RaffleID, ID: row.ID, UserID: row.UserID,
			Size: row.Size, Price: row.Price, Quantity: row.Quantity, CreatedAt: row.CreatedAt.UnixMicro()}}
		return err
	})
	if err != nil {
		return bidbook.FoundBid{}, at, err
	}
	if missing {
		return bidbook.FoundBid{}, at, bidbook.ErrNoBid
	}
	return found, at, nil
}

// list is a statement whose rows are bids.
func list[R any](into *[]readmodel.Bid, query func(*readdb.Queries) ([]R, error), convert func(R) readmodel.Bid) statement {
	return func(db *readdb.Queries) error {
		rows, err := query(db)
		*into = make([]readmodel.Bid, 0, len(rows))
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
