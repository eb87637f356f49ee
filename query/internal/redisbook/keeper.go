package redisbook

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
)

// edition says at which version of the raffles and products something was read, and at which position.
type edition struct {
	version string
	at      bidbook.Position
}

func (e edition) read() edition { return e }

// keeper keeps the latest reading of something large: all raffles, or all products.
type keeper[T interface{ read() edition }] struct {
	// anew reads it, or returns no version if it changed meanwhile.
	anew func(context.Context) (T, error)

	latest  atomic.Pointer[T]
	flights singleflight.Group
	next    atomic.Int64 // the earliest time of the next reading (nanoseconds since the Unix epoch)
}

// After a reading, there is none for restAfterRead times as long. So reading takes a quarter of the time at most,
// however often raffles change. Meanwhile each page is read by itself.
const restAfterRead = 3

// at returns a reading that holds at the position returned with it, which is not before at. version is the present one
// at this position. It returns nil if there is no such reading now.
func (k *keeper[T]) at(ctx context.Context, r *Redis, version string, at bidbook.Position) (*T, bidbook.Position, error) {
	switch c := k.latest.Load(); {
	case version == "":
		return nil, at, nil
	case c != nil && (*c).read().version == version:
		return c, at, nil
	}
	c, err := k.readAgain(ctx)
	if err != nil || c == nil {
		return nil, at, err
	}
	switch read := (*c).read(); {
	case read.version == version:
		return c, at, nil
	case r.primary.Reached(read.at.At, at.At):
		return c, read.at, nil // a newer one
	}
	return nil, at, nil
}

// readAgain reads once for all callers that ask at the same time. It returns nil if the last reading was too recent, or
// if the raffles changed during this one.
func (k *keeper[T]) readAgain(ctx context.Context) (*T, error) {
	if time.Now().UnixNano() < k.next.Load() {
		return nil, nil
	}
	flight := k.flights.DoChan("", func() (any, error) {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bidbook.RedisBudget)
		defer cancel()
		made, err := k.anew(ctx)
		k.next.Store(time.Now().Add(restAfterRead * time.Since(begun)).UnixNano())
		if err != nil || made.read().version == "" {
			return (*T)(nil), err
		}
		k.latest.Store(&made)
		return &made, nil
	})
	select {
	case result := <-flight:
		return result.Val.(*T), result.Err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
