package dump

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// text is the form of a string.
func text(item func(value string) (any, error)) form {
	return form{"string", func(ctx context.Context, d *dumper, name string) error {
		value, err := d.client.Get(ctx, name).Result()
		if errors.Is(err, redis.Nil) {
			return ErrChanged
		}
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		v, err := item(value)
		return d.print(v, value, err)
	}}
}

// set is the form of a set.
func set(item func(member string) (any, error)) form {
	return form{"set", func(ctx context.Context, d *dumper, name string) error {
		return d.scan(func(cursor uint64) (all []string, next uint64, err error) {
			return d.client.SScan(ctx, name, cursor, "", page).Result()
		}, 1, func(fields []string) (any, error) { return item(fields[0]) })
	}}
}

// hash is the form of a hash.
func hash(item func(field, value string) (any, error)) form {
	return form{"hash", func(ctx context.Context, d *dumper, name string) error {
		return d.scan(func(cursor uint64) (all []string, next uint64, err error) {
			return d.client.HScan(ctx, name, cursor, "", page).Result()
		}, 2, func(fields []string) (any, error) { return item(fields[0], fields[1]) })
	}}
}

// scan prints what a SCAN returns, by groups of so many strings.
func (d *dumper) scan(next func(cursor uint64) ([]string, uint64, error), group int, item func(fields []string) (any, error)) error {
	for cursor := uint64(0); ; {
		all, following, err := next(cursor)
		if err != nil {
			return fmt.Errorf("redis: %w", err)
		}
		for i := 0; i+group <= len(all); i += group {
			v, err := item(all[i : i+group])
			if err := d.print(v, all[i+group-1], err); err != nil {
				return err
			}
		}
		if cursor = following; cursor == 0 {
			return nil
		}
	}
}

// sentinel is a member that says something about its key.
type sentinel struct {
	Sentinel string `json:"sentinel"`
	Score    string `json:"score,omitempty"` // +inf or -inf
}

// sortedSet is the form of a sorted set. rev says that it is read downwards.
func sortedSet(rev bool, item func(member string) (any, error)) form {
	return form{"zset", func(ctx context.Context, d *dumper, name string) error {
		var before []redis.Z
		for {
			all, err := d.after(ctx, name, rev, before)
			if err != nil || len(all) == 0 {
				return err
			}
			for _, z := range all {
				v, err := scored(z, item)
				if err := d.print(v, z.Member.(string), err); err != nil {
					return err
				}
			}
			before = all
		}
	}}
}

// scored is an item of a sorted set with its score.
func scored(z redis.Z, item func(member string) (any, error)) (any, error) {
	member := z.Member.(string)
	if member == readmodel.Sentinel || member == readmodel.Loading {
		return sentinel{member, strings.ToLower(fmt.Sprintf("%+g", z.Score))}, nil
	}
	v, err := item(member)
	if math.IsInf(z.Score, 0) {
		return nil, errors.Join(err, fmt.Errorf("its score is %g", z.Score))
	}
	if s, ok := v.(interface{ setScore(float64) }); ok && err == nil {
		s.setScore(z.Score)
	}
	return v, err
}

// after returns the members that follow the page before. Ranks change while members come and go, so it begins at the
// last member of that page that is still there, and makes sure that this member had the rank when it was read.
func (d *dumper) after(ctx context.Context, name string, rev bool, before []redis.Z) ([]redis.Z, error) {
	if before == nil {
		return d.ranks(ctx, name, rev, 0)
	}
	for i := len(before) - 1; i >= 0; {
		member := before[i].Member.(string)
		rank, err := d.rank(ctx, name, rev, member)
		if errors.Is(err, redis.Nil) {
			i--
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("redis: %w", err)
		}
		all, err := d.ranks(ctx, name, rev, rank)
		if err != nil {
			return nil, err
		}
		if len(all) > 0 && all[0].Member == member {
			return all[1:], nil
		}
	}
	return nil, ErrChanged
}

func (d *dumper) rank(ctx context.Context, name string, rev bool, member string) (int64, error) {
	if rev {
		return d.client.ZRevRank(ctx, name, member).Result()
	}
	return d.client.ZRank(ctx, name, member).Result()
}

// ranks returns the members from a rank on, a page at most.
func (d *dumper) ranks(ctx context.Context, name string, rev bool, from int64) ([]redis.Z, error) {
	all, err := d.client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: name, Start: from, Stop: from + page, Rev: rev}).Result()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return all, nil
}

// stream is the form of a raffle's stream. An entry holds several events, each of which is an item.
func stream(raffle int64) form {
	return form{"stream", func(ctx context.Context, d *dumper, name string) error {
		from := "-"
		for {
			all, err := d.client.XRangeN(ctx, name, from, "+", page).Result()
			if err != nil {
				return fmt.Errorf("redis: %w", err)
			}
			for _, entry := range all {
				if err := d.events(raffle, entry); err != nil {
					return err
				}
				from = "(" + entry.ID
			}
			if len(all) < page {
				return nil
			}
		}
	}}
}

// events prints the events of an entry.
func (d *dumper) events(raffle int64, entry redis.XMessage) error {
	packed, _ := entry.Values[readmodel.LiveField].(string)
	id, err := readmodel.ParseEventID(entry.ID)
	var all []readmodel.Event
	if err == nil {
		all, err = readmodel.ParseEvents(raffle, id, []byte(packed))
	}
	if err != nil {
		return d.print(nil, packed, err)
	}
	for _, e := range all {
		if err := d.print(eventOf(e), "", nil); err != nil {
			return err
		}
	}
	return nil
}
