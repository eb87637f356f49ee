package bidbook

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// SizeBids reads the newest bids of a size. The set is capped: a page that would reach down to what was
// dropped is SQL's, and so is a set that is not whole, or not there.
func (r *Redis) SizeBids(ctx context.Context, q SizeQuery, least lsn.Position) (BidPage, Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	p, err := r.ask(ctx, ask, least, func(e readmodel.Epoch) {
		writePage(ask, e.SizeNewest(q.Size), backwards, q.After, q.Limit+1)
		ask.Command("GET", e.SizeFloor(q.Size)) // after the set: what is dropped in between counts
	})
	if err != nil {
		return BidPage{}, p.at, err
	}
	n, whole := readPage(&ask.Replies, q.After)
	if ask.Err() == nil && !whole {
		return BidPage{}, p.at, fmt.Errorf("%w: no whole set of size %d", ErrIncomplete, q.Size)
	}
	bids := q.Room[:0]
	for i := range n {
		member := ask.Bytes()
		if i == q.Limit {
			break
		}
		b, err := readmodel.ParseSizeMember(q.Size, member)
		if err != nil {
			return BidPage{}, p.at, err
		}
		bids = append(bids, b)
	}
	floor := ask.Bytes()
	if err := ask.Err(); err != nil {
		return BidPage{}, p.at, err
	}
	page := BidPage{Bids: bids, More: n > q.Limit}
	return page, p.at, aboveFloor(page, q.Size, floor)
}

// aboveFloor says whether the page ends above what was dropped from its set.
func aboveFloor(page BidPage, size int16, floor []byte) error {
	switch {
	case floor == nil: // it comes with the set
		return fmt.Errorf("%w: no floor of size %d", ErrIncomplete, size)
	case string(floor) == "0": // nothing was ever dropped
		return nil
	case !page.More:
		return fmt.Errorf("%w: size %d reaches to its floor", ErrIncomplete, size)
	}
	at, err := strconv.ParseInt(string(floor), 10, 64)
	if err != nil {
		return fmt.Errorf("floor of size %d: %w", size, readmodel.ErrCorrupt)
	}
	if page.Bids[len(page.Bids)-1].CreatedAt <= at {
		return fmt.Errorf("%w: size %d reaches below its floor", ErrIncomplete, size)
	}
	return nil
}
