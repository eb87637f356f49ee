package snapshot

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/lsn"
	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// Copied is what the copy of some parts found besides the rows in its chunks.
type Copied struct {
	At      lsn.LSN           // the position of the snapshot
	Entries map[int64]string  // by raffle; "" for a raffle that does not exist
	Stored  map[int64][]int16 // by raffle: the sizes that may have sets in Redis
	Sized   map[int64][]int16 // by raffle: the sizes in the snapshot
	Sizes   []int16           // the sizes that have bids; set if the lists are copied
	Err     error
}

// ForParts makes a loader that replaces parts of an existing epoch. Each key that it writes has readmodel.Loading in
// place of its sentinel.
func ForParts(p wal.Pipeline, server wal.Server, e readmodel.Epoch, plain bool) *Loader {
	l := newLoader(p, server, e, plain)
	l.replace, l.mark = true, []byte(readmodel.Loading)
	return l
}

// CopyParts reads parts from the snapshot of a temporary slot and hands them over in chunks. The value of a raffle in
// parts are sizes that may be known from nothing else.
func (l *Loader) CopyParts(ctx context.Context, client *redis.Client, parts map[readmodel.Part][]int16, cp readmodel.Checkpoint) (got Copied, err error) {
	defer close(l.Full)
	got.Entries, got.Stored, got.Sized = make(map[int64]string), make(map[int64][]int16), make(map[int64][]int16)
	for part, sizes := range parts {
		if part.Raffle == 0 {
			continue
		}
		if got.Stored[part.Raffle], err = storedSizes(ctx, client, cp.Epoch, part.Raffle, sizes); err != nil {
			return got, err
		}
	}
	stream, snapshot, err := l.server.Temporary(ctx)
	if err != nil {
		return got, err
	}
	defer stream.Close()
	l.snapshot, got.At = snapshot.Name, snapshot.LSN
	err = l.read(ctx, func(ctx context.Context, r *reading) error {
		for part := range parts {
			if err := r.part(ctx, part, &got); err != nil {
				return err
			}
		}
		return notTruncated(ctx, r.tx)
	})
	if err != nil {
		return got, err
	}
	system, err := stream.Identify(ctx)
	if err == nil && (system.ID != cp.SystemID || system.Timeline != cp.Timeline) {
		err = errors.New("the copy was made from another server than the stream's")
	}
	return got, err
}

// storedSizes returns the sizes that may have sets of a raffle in Redis.
func storedSizes(ctx context.Context, client *redis.Client, e readmodel.Epoch, raffle int64, sizes []int16) ([]int16, error) {
	stored, err := client.SUnion(ctx, e.Sizes(raffle), e.AllSizes()).Result()
	if err != nil {
		return nil, fmt.Errorf("sizes of raffle %d: %w", raffle, err)
	}
	for _, text := range stored {
		if size, err := strconv.ParseInt(text, 10, 16); err == nil && size > 0 {
			sizes = append(sizes, int16(size))
		}
	}
	return sizes, nil
}
