package project

import (
	"context"
	"fmt"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/tables"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// part replaces a part.
func (r *reading) part(ctx context.Context, p readmodel.Part, got *copied) (err error) {
	switch {
	case p.Raffle != 0:
		got.entries[p.Raffle], err = r.raffle(ctx, p.Raffle, got.stored[p.Raffle])
		got.sized[p.Raffle] = r.sized
	case p.Size != 0:
		err = r.sizeNewest(ctx, p.Size)
	default:
		got.sizes, err = r.lists(ctx)
	}
	return err
}

// raffle replaces the sets of a raffle. sizes are those that may have sets now. It returns the raffle's entry.
func (r *reading) raffle(ctx context.Context, id int64, sizes []int16) (entry string, err error) {
	for _, size := range sizes {
		if err := r.ensureChunk(ctx, addWork); err != nil {
			return "", err
		}
		r.chunk.commands.Add("UNLINK", r.epoch.Newest(id, size), r.epoch.Highest(id, size))
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
		i := imageOf(row, p.Raffle)
		if i.poison != nil {
			r.leaveOut(poisons(tables.Raffles, tables.PartsOfRaffle(i.v), i.v.ID, i.poison)...)
		}
		if i.there {
			return each(i.v)
		}
		return i.err
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
	r.chunk.commands.Add("UNLINK", r.epoch.Products())
	r.chunk.commands.Add("HSET", r.epoch.Products(), readmodel.Loading, "")
	r.chunk.commands.Add("EVAL", forgetProducts, "1", readmodel.PoisonedKey, productPrefix)
	err := tables.Copy(ctx, r.tx.Conn(), tables.Products, "", func(p tables.Plan, row *wal.Row) error {
		i := imageOf(row, p.Product)
		if err := r.ensureChunk(ctx, addWork); err != nil {
			return err
		}
		if i.poison != nil {
			r.leaveOut(poison{table: tables.Products, name: productName(i.v.ID), row: i.v.ID, err: i.poison})
			r.chunk.commands.Add("SADD", readmodel.PoisonedKey, productName(i.v.ID)) // the journal may take it out again
		}
		if !i.there {
			return i.err
		}
		r.chunk.commands.Add("HSET", r.epoch.Products(), decimal(i.v.ID), string(i.v.AppendEntry(nil)))
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
	r.chunk.commands.Add("UNLINK", r.epoch.Raffles())
	r.chunk.commands.Add("ZADD", r.epoch.Raffles(), "+inf", readmodel.Loading)
	return r.eachRaffle(ctx, "", func(v readmodel.Raffle) error {
		if err := r.ensureChunk(ctx, addWork); err != nil {
			return err
		}
		r.chunk.commands.Add("ZADD", r.epoch.Raffles(), decimal(v.EndsAt), string(v.AppendMember(nil)))
		return nil
	})
}
