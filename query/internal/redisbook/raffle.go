package redisbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// outline is what must be known of a raffle to ask for its details in one round trip.
type outline struct {
	product int64
	sizes   []int16
}

// outlines remembers the outlines of raffles that were read. An outline is only a guess of what to ask for, and the
// answer shows whether the guess was right.
type outlines struct {
	mu   sync.RWMutex
	m    map[int64]outline
	kept int // of all outlines, as maxOutlined counts
}

// maxOutlined bounds all outlines together, in sizes, to some 4 MB.
const maxOutlined = 2 << 20

// outlineRoom is what an outline takes besides its sizes, in sizes.
const outlineRoom = 32

func (o *outlines) get(id int64) outline {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.m[id]
}

func (o *outlines) put(id int64, v outline) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if was, is := o.m[id]; is {
		o.kept -= outlineRoom + len(was.sizes)
	}
	if o.kept += outlineRoom + len(v.sizes); o.m == nil || o.kept > maxOutlined {
		o.m, o.kept = make(map[int64]outline), outlineRoom+len(v.sizes)
	}
	o.m[id] = v
}

// Raffle asks in one round trip for all keys of the raffle that the remembered outline names. If the raffle has
// another outline now, it asks once more.
func (r *Redis) Raffle(ctx context.Context, id int64, minLSN lsn.Position) (bidbook.RaffleDetail, bidbook.Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	guess := r.outlines.get(id)
	p, err := r.ask(ctx, ask, minLSN, func(e readmodel.Epoch) { writeDetail(ask, e, id, guess) })
	if err != nil {
		return bidbook.RaffleDetail{}, p.at, err
	}
	d, seen, err := readOutline(ask, id)
	if errors.Is(err, bidbook.ErrUndecided) {
		at, err := r.missing(ctx, id, minLSN)
		return d, at, err
	}
	if err != nil {
		return d, p.at, err
	}
	if seen.product != guess.product || !slices.Equal(seen.sizes, guess.sizes) {
		r.outlines.put(id, seen)
		if err := r.again(ctx, ask, p, func(e readmodel.Epoch) { writeDetail(ask, e, id, seen) }); err != nil {
			return d, p.at, err
		}
		var now outline
		if d, now, err = readOutline(ask, id); err != nil {
			return d, p.at, err
		}
		if now.product != seen.product || !slices.Equal(now.sizes, seen.sizes) {
			return d, p.at, fmt.Errorf("%w: raffle %d gets its first bids", bidbook.ErrUndecided, id)
		}
	}
	return d, p.at, readDetail(ask, &d, seen.sizes)
}

func writeDetail(ask *request, e readmodel.Epoch, id int64, o outline) {
	ask.Add("GET", e.Raffle(id))
	ask.Add("SMEMBERS", e.Sizes(id))
	if o.product == 0 {
		ask.Rows(maxLight) // there may be many sizes
		return
	}
	ask.Rows(3 * len(o.sizes))
	ask.Add("HMGET", e.Products(), readmodel.Sentinel, strconv.FormatInt(o.product, 10))
	for _, size := range o.sizes {
		ask.Add("ZCARD", e.Highest(id, size))
		ask.Add("ZRANGE", e.Highest(id, size), "0", "1") // the sentinel and the highest bid
	}
}

func readOutline(ask *request, id int64) (d bidbook.RaffleDetail, o outline, err error) {
	entry := ask.Replies.Bytes()
	if entry == nil && ask.Replies.Err() == nil {
		return d, o, fmt.Errorf("%w: raffle %d", bidbook.ErrUndecided, id)
	}
	if o.sizes, err = readSizes(&ask.Replies); err != nil {
		return d, o, fmt.Errorf("raffle %d: %w", id, err)
	}
	d.Raffle, err = readmodel.ParseRaffle(entry)
	o.product = d.Raffle.ProductID
	return d, o, err
}

// readSizes returns the sizes in ascending order. A set without RaffleKnown is not whole.
func readSizes(from *resp.Replies) ([]int16, error) {
	n := from.Len()
	sizes, known := make([]int16, 0, n), false
	for range n {
		m := from.Bytes()
		size, err := strconv.ParseInt(string(m), 10, 16)
		if err != nil {
			return nil, fmt.Errorf("size %q: %w", m, readmodel.ErrCorrupt)
		}
		if size == 0 {
			known = true
		} else {
			sizes = append(sizes, int16(size))
		}
	}
	if from.Err() == nil && !known {
		return nil, fmt.Errorf("%w: its sizes", bidbook.ErrUndecided)
	}
	slices.Sort(sizes)
	return sizes, from.Err()
}

func readDetail(ask *request, d *bidbook.RaffleDetail, sizes []int16) (err error) {
	ask.Replies.Len()
	whole, product := ask.Replies.Bytes() != nil, ask.Replies.Bytes()
	if (product == nil || !whole) && ask.Replies.Err() == nil {
		return fmt.Errorf("%w: product %d", bidbook.ErrIncomplete, d.Raffle.ProductID)
	}
	if d.Product, err = readmodel.ParseProduct(product); err != nil {
		return err
	}
	for _, size := range sizes {
		count, n := ask.Replies.Int(), ask.Replies.Len()
		if ask.Replies.Err() == nil && (n < 2 || !isSentinel(&ask.Replies)) {
			return fmt.Errorf("%w: raffle %d size %d", bidbook.ErrUndecided, d.Raffle.ID, size)
		}
		bid, err := readmodel.ParseMember(d.Raffle.ID, size, ask.Replies.Bytes())
		if err != nil {
			return err
		}
		d.Sizes = append(d.Sizes, bidbook.SizeSummary{Size: size, Count: int64(count) - 1, Highest: bid.Price})
	}
	return ask.Replies.Err()
}
