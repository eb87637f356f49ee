package bidbook

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bracket"
)

// A page of raffles of one status is filtered out of the set of all. Beyond this many rounds SQL, which
// has the same work but no round trips, answers.
const (
	raffleRounds    = 5
	leastRaffleRead = 512 // from the second round
)

// Raffles reads the sorted set of all raffles until the page is full.
func (r *Redis) Raffles(_ context.Context, q RafflesQuery, least readmodel.LSN) (RafflePage, Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	after, n := q.After, q.Limit+1
	write := func(e readmodel.Epoch) { writePage(ask, e.Raffles(), backwards, after, n) }
	p, err := r.ask(ask, least, write)
	found := make([]readmodel.Raffle, 0, n)
	now := time.Now().UnixMicro()
	for round := 1; err == nil; round++ {
		if found, after, err = appendRaffles(found, &ask.Replies, q, after, n, now); err != nil {
			break
		}
		if len(found) > q.Limit || after == nil {
			raffles, more := cut(found, q.Limit)
			return RafflePage{Raffles: raffles, More: more}, p.at, nil
		}
		if round == raffleRounds {
			return RafflePage{}, p.at, fmt.Errorf("%w: too few raffles are %s", ErrIncomplete, q.Status)
		}
		n = max(4*n, leastRaffleRead)
		err = r.again(ask, p, write)
	}
	return RafflePage{}, p.at, err
}

// appendRaffles appends the raffles of a read that have the status, and returns where the next read
// continues, or nil if that was all.
func appendRaffles(found []readmodel.Raffle, from *bracket.Replies, q RafflesQuery, after *Keyset, asked int, now int64) ([]readmodel.Raffle, *Keyset, error) {
	n, exists := readPage(from, after)
	if err := from.Err(); err != nil {
		return nil, nil, err
	}
	if !exists {
		return nil, nil, fmt.Errorf("%w: no raffles", ErrIncomplete)
	}
	var raffle readmodel.Raffle
	for range n {
		var err error
		if raffle, err = readmodel.ParseRaffle(from.Bytes()); err != nil {
			return nil, nil, err
		}
		if q.Status.matches(raffle, now) {
			found = append(found, raffle)
		}
	}
	if n < asked {
		return found, nil, nil
	}
	return found, &Keyset{At: raffle.EndsAt, ID: raffle.ID}, nil
}

// matches is the WHERE of the SQL paths, at the time now (microseconds).
func (s Status) matches(r readmodel.Raffle, now int64) bool {
	switch s {
	case Open:
		return r.ClosedAt == 0 && r.StartsAt <= now
	case Closed:
		return r.ClosedAt != 0
	}
	return true
}

// Raffle takes two round trips: the raffle and its sizes, then the product and each size's sets.
func (r *Redis) Raffle(_ context.Context, id int64, least readmodel.LSN) (RaffleDetail, Position, error) {
	ask := r.client.Request()
	defer ask.Release()
	p, err := r.ask(ask, least, func(e readmodel.Epoch) {
		ask.Command("GET", e.Raffle(id))
		ask.Command("SMEMBERS", e.Sizes(id))
	})
	if err != nil {
		return RaffleDetail{}, p.at, err
	}
	var d RaffleDetail
	entry := ask.Bytes()
	sizes, err := readSizes(&ask.Replies)
	if err != nil {
		return d, p.at, fmt.Errorf("raffle %d: %w", id, err)
	}
	if entry == nil {
		return d, p.at, fmt.Errorf("%w: raffle %d", ErrIncomplete, id)
	}
	if d.Raffle, err = readmodel.ParseRaffle(entry); err != nil {
		return d, p.at, err
	}
	err = r.fillDetail(ask, p, &d, sizes)
	return d, p.at, err
}

// readSizes returns the sizes ascending; a set without RaffleKnown is not whole.
func readSizes(from *bracket.Replies) ([]int16, error) {
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
		return nil, fmt.Errorf("%w: its sizes", ErrIncomplete)
	}
	slices.Sort(sizes)
	return sizes, from.Err()
}

func (r *Redis) fillDetail(ask *request, p *proof, d *RaffleDetail, sizes []int16) error {
	err := r.again(ask, p, func(e readmodel.Epoch) {
		ask.Command("HGET", e.Products(), strconv.FormatInt(d.Raffle.ProductID, 10))
		for _, size := range sizes {
			ask.Command("ZCARD", e.Newest(d.Raffle.ID, size))
			ask.Command("ZRANGE", e.Highest(d.Raffle.ID, size), "0", "0")
		}
	})
	if err != nil {
		return err
	}
	product := ask.Bytes()
	if product == nil && ask.Err() == nil {
		return fmt.Errorf("%w: product %d", ErrIncomplete, d.Raffle.ProductID)
	}
	if d.Product, err = readmodel.ParseProduct(product); err != nil {
		return err
	}
	for _, size := range sizes {
		count, n := ask.Int(), ask.Len()
		if ask.Err() == nil && (count == 0 || n == 0) {
			return fmt.Errorf("%w: raffle %d size %d", ErrIncomplete, d.Raffle.ID, size)
		}
		bid, err := readmodel.ParseMember(d.Raffle.ID, size, ask.Bytes())
		if err != nil {
			return err
		}
		d.Sizes = append(d.Sizes, SizeSummary{Size: size, Count: int64(count), Highest: bid.Price})
	}
	return ask.Err()
}
