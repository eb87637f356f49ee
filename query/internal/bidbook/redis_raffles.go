package bidbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// A page of raffles of one status is filtered out of the set of all. Beyond this many rounds SQL, which
// has the same work but no round trips, answers.
const (
	raffleRounds    = 5
	leastRaffleRead = 512 // from the second round
)

// Raffles reads the sorted set of all raffles until the page is full.
func (r *Redis) Raffles(ctx context.Context, q RafflesQuery, min readmodel.LSN) (RafflePage, Position, error) {
	var page rows
	n := q.Limit + 1
	c, err := r.begin(ctx, min, func(pipe redis.Pipeliner, e readmodel.Epoch) {
		page = queueRaffles(ctx, pipe, e, q.After, n)
	})
	found := make([]readmodel.Raffle, 0, n)
	now := time.Now().UnixMicro()
	for round := 1; err == nil; round++ {
		var after *Keyset
		if found, after, err = appendRaffles(found, page, q, n, now); err != nil {
			break
		}
		if len(found) > q.Limit || after == nil {
			raffles, more := cut(found, q.Limit)
			return RafflePage{Raffles: raffles, More: more}, position(c), nil
		}
		if round == raffleRounds {
			return RafflePage{}, position(c), fmt.Errorf("%w: too few raffles are %s", ErrIncomplete, q.Status)
		}
		n = max(4*n, leastRaffleRead)
		err = r.again(ctx, c, func(pipe redis.Pipeliner, e readmodel.Epoch) {
			page = queueRaffles(ctx, pipe, e, after, n)
		})
	}
	return RafflePage{}, position(c), err
}

func queueRaffles(ctx context.Context, pipe redis.Pipeliner, e readmodel.Epoch, after *Keyset, n int) rows {
	var score int64
	if after != nil {
		score = after.At
	}
	return queuePage(ctx, pipe, e.Raffles(), true, score, after, n)
}

// appendRaffles appends the raffles of a read that have the status, and returns where the next read
// continues, or nil if that was all.
func appendRaffles(found []readmodel.Raffle, page rows, q RafflesQuery, asked int, now int64) ([]readmodel.Raffle, *Keyset, error) {
	members, exists, err := page.members()
	if err != nil {
		return nil, nil, err
	}
	if !exists {
		return nil, nil, fmt.Errorf("%w: no raffles", ErrIncomplete)
	}
	var raffle readmodel.Raffle
	for _, m := range members {
		if raffle, err = readmodel.ParseRaffle([]byte(m)); err != nil {
			return nil, nil, err
		}
		if q.Status.matches(raffle, now) {
			found = append(found, raffle)
		}
	}
	if len(members) < asked {
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
func (r *Redis) Raffle(ctx context.Context, id int64, min readmodel.LSN) (RaffleDetail, Position, error) {
	var entry *redis.StringCmd
	var members *redis.StringSliceCmd
	c, err := r.begin(ctx, min, func(pipe redis.Pipeliner, e readmodel.Epoch) {
		entry = pipe.Get(ctx, e.Raffle(id))
		members = pipe.SMembers(ctx, e.Sizes(id))
	})
	if err != nil {
		return RaffleDetail{}, position(c), err
	}
	if errors.Is(entry.Err(), redis.Nil) {
		return RaffleDetail{}, position(c), fmt.Errorf("%w: raffle %d", ErrIncomplete, id)
	}
	var d RaffleDetail
	if d.Raffle, err = readmodel.ParseRaffle([]byte(entry.Val())); err != nil {
		return d, position(c), err
	}
	sizes, err := parseSizes(members.Val())
	if err != nil {
		return d, position(c), fmt.Errorf("raffle %d: %w", id, err)
	}
	err = r.fillDetail(ctx, c, &d, sizes)
	return d, position(c), err
}

// parseSizes returns the sizes ascending; a set without RaffleKnown is not whole.
func parseSizes(members []string) ([]int16, error) {
	if !slices.Contains(members, readmodel.RaffleKnown) {
		return nil, fmt.Errorf("%w: its sizes", ErrIncomplete)
	}
	sizes := make([]int16, 0, len(members))
	for _, m := range members {
		size, err := strconv.ParseInt(m, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("size %q: %w", m, readmodel.ErrCorrupt)
		}
		if size != 0 {
			sizes = append(sizes, int16(size))
		}
	}
	slices.Sort(sizes)
	return sizes, nil
}

func (r *Redis) fillDetail(ctx context.Context, c readmodel.Checkpoint, d *RaffleDetail, sizes []int16) error {
	var product *redis.StringCmd
	counts := make([]*redis.IntCmd, len(sizes))
	highest := make([]*redis.StringSliceCmd, len(sizes))
	err := r.again(ctx, c, func(pipe redis.Pipeliner, e readmodel.Epoch) {
		product = pipe.HGet(ctx, e.Products(), strconv.FormatInt(d.Raffle.ProductID, 10))
		for i, size := range sizes {
			counts[i] = pipe.ZCard(ctx, e.Newest(d.Raffle.ID, size))
			highest[i] = pipe.ZRange(ctx, e.Highest(d.Raffle.ID, size), 0, 0)
		}
	})
	if err != nil {
		return err
	}
	if errors.Is(product.Err(), redis.Nil) {
		return fmt.Errorf("%w: product %d", ErrIncomplete, d.Raffle.ProductID)
	}
	if d.Product, err = readmodel.ParseProduct([]byte(product.Val())); err != nil {
		return err
	}
	for i, size := range sizes {
		count, first := counts[i].Val(), highest[i].Val()
		if count == 0 || len(first) == 0 {
			return fmt.Errorf("%w: raffle %d size %d", ErrIncomplete, d.Raffle.ID, size)
		}
		bid, err := readmodel.ParseMember(d.Raffle.ID, size, []byte(first[0]))
		if err != nil {
			return err
		}
		d.Sizes = append(d.Sizes, SizeSummary{Size: size, Count: count, Highest: bid.Price})
	}
	return nil
}
