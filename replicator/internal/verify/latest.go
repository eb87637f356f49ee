package verify

import (
	"fmt"
	"maps"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/sql/replicationdb"
)

// latest holds the bids of one size over all raffles that were made after floor (microseconds).
type latest struct {
	floor int64
	bids  content
}

// latestKept bounds how many bids of a size are compared. It is more than Redis keeps in a capped set.
const latestKept = 2 * readmodel.SizeKept

func (l *latest) bid(b readmodel.Bid, sign int64) {
	if b.CreatedAt > l.floor {
		l.bids.change(string(b.AppendSizeMember(nil)), number(b.NewestScore()), sign)
	}
}

// wanted returns what a capped set must hold above both floors. Below its own floor the model knows nothing. Below
// Redis' floor (decimal) the set may have gaps, and nobody reads it there. So what got has at or below the floors is
// removed.
func (l *latest) wanted(got *found) content {
	floor := float64(l.floor)
	if v, err := strconv.ParseFloat(got.floor, 64); err == nil {
		floor = max(floor, v)
	}
	want := maps.Clone(l.bids)
	if len(want) > 0 {
		want.putSentinel(sizeNewest)
	} else {
		delete(got.content, readmodel.Sentinel)
	}
	for _, c := range []content{want, got.content} {
		maps.DeleteFunc(c, func(_, score string) bool {
			at, err := strconv.ParseFloat(score, 64)
			return err == nil && at <= floor
		})
	}
	return want
}

// floors sets the model's floor of every size. The floor of Redis only rises, so any floor from before the snapshot
// would do. A floor of the model's own needs no Redis and bounds the memory.
func (l *loader) floors() error {
	db := replicationdb.New(l.conn)
	sizes, err := db.SizesWithBids(l.ctx)
	if err != nil {
		return fmt.Errorf("sizes: %w", err)
	}
	floors, err := db.SizeFloors(l.ctx, replicationdb.SizeFloorsParams{Sizes: sizes, Kept: latestKept})
	if err != nil {
		return fmt.Errorf("sizes: %w", err)
	}
	for _, f := range floors {
		l.model.latest[f.Size] = &latest{floor: f.Floor.UnixMicro(), bids: make(content)}
	}
	return nil
}
