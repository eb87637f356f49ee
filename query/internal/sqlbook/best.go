package sqlbook

import (
	"context"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/sql/readdb"
)

// AllSizes reads an index range of each size and merges them.
func (p *Postgres) AllSizes(ctx context.Context, q bidbook.BidsQuery, minLSN lsn.Position) (bidbook.BidPage, bidbook.Position, error) {
	after := from(q.After)
	var bids []readmodel.Bid
	var known bool
	merged := list(&bids, func(db *readdb.Queries) ([]readdb.BidsOfRaffleRow, error) {
		return db.BidsOfRaffle(ctx, readdb.BidsOfRaffleParams{RaffleID: q.RaffleID, BeforeCreatedAt: time.UnixMicro(after.At),
			BeforeID: after.ID, RowLimit: int32(q.Limit) + 1})
	}, func(r readdb.BidsOfRaffleRow) readmodel.Bid { return bid(readdb.BidsNewestRow(r)) })
	// The list is empty also if there is no such raffle.
	at, err := p.readAlone(ctx, minLSN, merged, func(db *readdb.Queries) (err error) {
		known, err = db.RaffleExists(ctx, q.RaffleID)
		return err
	})
	switch {
	case err != nil:
		return bidbook.BidPage{}, at, err
	case !known && len(bids) == 0:
		return bidbook.BidPage{}, at, bidbook.ErrNotFound
	}
	return page(bids, q.Limit), at, nil
}

// Best goes from size to size through the index by price.
func (p *Postgres) Best(ctx context.Context, id int64, minLSN lsn.Position) (bidbook.BestBids, bidbook.Position, error) {
	var rows []readdb.BestBidsRow
	at, err := p.readAlone(ctx, minLSN, func(db *readdb.Queries) (err error) {
		rows, err = db.BestBids(ctx, id)
		return err
	})
	switch {
	case err != nil:
		return bidbook.BestBids{}, at, err
	case len(rows) == 0:
		return bidbook.BestBids{}, at, bidbook.ErrNotFound
	}
	found := bidbook.BestBids{Raffle: raffle(rows[0].Raffle)}
	for _, r := range rows {
		if r.BidID != 0 {
			found.Bids = append(found.Bids, readmodel.Bid{RaffleID: id, ID: r.BidID, UserID: r.UserID, Size: r.Size,
				Price: r.Price, Quantity: r.Quantity, CreatedAt: r.CreatedAt.UnixMicro()})
		}
	}
	return found, at, nil
}
