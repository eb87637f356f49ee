package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// fields reads some fields of a key; those that it has not are not in the content.
func (k key) fields(ctx context.Context, client redis.Cmdable, e readmodel.Epoch, fields []string) (found, error) {
	name, got := k.name(e), found{content: make(content)}
	structure, err := client.Type(ctx, name).Result()
	if err != nil {
		return got, fmt.Errorf("redis: %w", err)
	}
	if structure == "none" {
		return got, nil
	}
	if structure != k.structure() {
		got.structure = "a " + structure
		return got, nil
	}
	pipe := client.Pipeline()
	replies := make([]redis.Cmder, len(fields))
	for i, field := range fields {
		replies[i] = k.readField(ctx, pipe, name, field)
	}
	var refused redis.Error
	if _, err := pipe.Exec(ctx); err != nil && !errors.As(err, &refused) {
		return got, fmt.Errorf("redis: %w", err)
	}
	for i, reply := range replies {
		value, there, err := value(reply)
		if err != nil {
			return got, fmt.Errorf("redis: %w", err)
		}
		if there {
			got.content[fields[i]] = value
		}
	}
	return got, nil
}

// value takes a field's value, and whether there is one, from the reply to readField.
func value(reply redis.Cmder) (value string, there bool, err error) {
	if errors.Is(reply.Err(), redis.Nil) {
		return "", false, nil
	}
	switch r := reply.(type) {
	case *redis.BoolCmd:
		return "", r.Val(), r.Err()
	case *redis.StringCmd:
		return r.Val(), true, r.Err()
	case *redis.FloatCmd:
		return number(r.Val()), true, r.Err()
	}
	return "", false, reply.Err()
}

func (k key) readField(ctx context.Context, client redis.Cmdable, name, field string) redis.Cmder {
	switch k.structure() {
	case "set":
		return client.SIsMember(ctx, name, field)
	case "hash":
		return client.HGet(ctx, name, field)
	case "string":
		return client.Get(ctx, name)
	default:
		return client.ZScore(ctx, name, field)
	}
}

// write puts a field with its value into a key, or takes it out.
func (k key) write(ctx context.Context, client redis.Cmdable, e readmodel.Epoch, field, value string, needed bool) error {
	name := k.name(e)
	switch structure := k.structure(); {
	case structure == "set" && needed:
		return client.SAdd(ctx, name, field).Err()
	case structure == "set":
		return client.SRem(ctx, name, field).Err()
	case structure == "hash" && needed:
		return client.HSet(ctx, name, field, value).Err()
	case structure == "hash":
		return client.HDel(ctx, name, field).Err()
	case structure == "string" && needed:
		return client.Set(ctx, name, value, 0).Err()
	case structure == "string":
		return client.Del(ctx, name).Err()
	case !needed:
		return client.ZRem(ctx, name, field).Err()
	}
	score, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("score of %q: %w", field, err)
	}
	return client.ZAdd(ctx, name, redis.Z{Score: score, Member: field}).Err()
}
