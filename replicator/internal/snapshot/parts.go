package snapshot

import (
	"context"
	"fmt"
	"strconv"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// part copies a part.
func (r *reading) part(ctx context.Context, p readmodel.Part, got *Copied) (err error) {
	switch {
	case p.Raffle != 0:
		got.Entries[p.Raffle], err = r.raffle(ctx, p.Raffle, got.Stored[p.Raffle])
		got.Sized[p.Raffle] = r.sized
	case p.Size != 0:
		err = r.sizeNewest(ctx, p.Size)
	default:
		got.Sizes, err = r.lists(ctx)
	}
	return err
}

// raffle replaces the sets of a raffle and returns the raffle's entry. sizes are the sizes that may have sets in Redis
// now.
func (r *reading) raffle(ctx context.Context, id int64, sizes []int16) (entry string, err error) {
	for _, size := range sizes {
		if err := r.ensureChunk(ctx, addWork); err != nil {
			return "", err
		}
		r.chunk.Commands.Add("UNLINK", r.epoch.Newest(id, size), r.epoch.Highest(id, size))
	}
	r.sized = nil
	if err := r.books(ctx, id, id+1); err != nil {
		return "", err
	}
	err = r.eachRaffle(ctx, fmt.Sprintf("WHERE id = %d", id), func(v readmodel.Raffle) error {
		entry = string(v.AppendMember(nil))
		return nil
	})
	return entry, err
}

func (r *reading) eachRaffle(ctx context.Context, clauses string, each func(readmodel.Raffle) error) error {
	return tables.Copy(ctx, r.tx.Conn(), tables.Raffles, clauses, func(p tables.Plan, row *wal.Row) error {
		i := projection.ImageOf(row, p.Raffle)
		if i.Poison != nil {
			r.leaveOut(projection.Poisons(tables.Raffles, tables.PartsOfRaffle(i.V), i.V.ID, i.Poison)...)
		}
		if i.There {
			return each(i.V)
		}
		return i.Err
	})
}

// lists replaces the lists of raffles and products, and returns the sizes that have bids.
func (r *reading) lists(ctx context.Context) ([]int16, error) {
	if err := r.raffles(ctx); err != nil {
		return nil, err
	}
	if err := r.ensureChunk(ctx, 2*addWork); err != nil {
		return nil, err
	}
	r.chunk.Commands.Add("UNLINK", r.epoch.Products())
	r.chunk.Commands.Add("HSET", r.epoch.Products(), readmodel.Loading, "")
	projection.AppendForgetProducts(&r.chunk.Commands)
	err := tables.Copy(ctx, r.tx.Conn(), tables.Products, "", func(p tables.Plan, row *wal.Row) error {
		i := projection.ImageOf(row, p.Product)
		if err := r.ensureChunk(ctx, addWork); err != nil {
			return err
		}
		if i.Poison != nil {
			r.leaveOut(projection.Poison{Table: tables.Products, Name: projection.ProductName(i.V.ID), Row: i.V.ID, Err: i.Poison})
			r.chunk.Commands.Add("SADD", readmodel.PoisonedKey, projection.ProductName(i.V.ID)) // the journal may remove it again
		}
		if !i.There {
			return i.Err
		}
		r.chunk.Commands.Add("HSET", r.epoch.Products(), strconv.FormatInt(i.V.ID, 10), string(i.V.AppendEntry(nil)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.sizes(ctx)
}

// raffles replaces the list of raffles.
func (r *reading) raffles(ctx context.Context) error {
	if err := r.ensureChunk(ctx, 2*addWork); err != nil {
		return err
	}
	r.chunk.Commands.Add("UNLINK", r.epoch.Raffles())
	r.chunk.Commands.Add("ZADD", r.epoch.Raffles(), "+inf", readmodel.Loading)
	return r.eachRaffle(ctx, "", func(v readmodel.Raffle) error {
		if err := r.ensureChunk(ctx, addWork); err != nil {
			return err
		}
		r.chunk.Commands.Add("ZADD", r.epoch.Raffles(), strconv.FormatInt(v.EndsAt, 10), string(v.AppendMember(nil)))
		return nil
	})
}
