package session

import (
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/internal/resp"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/apply"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/projection"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/sink"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/snapshot"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// errorKinds are the labels of the metric of errors. The first that fits counts.
var errorKinds = []struct {
	err  error
	kind string
}{
	{ErrOtherPipeline, "other_pipeline"}, {ErrStalePrimary, "stale_primary"}, {errNewer, "newer_primary"}, {errServer, "server"},
	{wal.ErrPublicationChanged, "publication_changed"}, {apply.ErrForgot, "primary_forgot"}, {snapshot.ErrSlotLost, "slot_lost"},
	{apply.ErrSilent, "silent"}, {errNoRoom, "no_room"}, {sink.ErrFenced, "fenced"}, {sink.ErrTorn, "torn"},
	{projection.ErrTruncated, "truncated"}, {errEvicted, "evicted"}, {redisinfo.ErrEvicts, "redis_unfit"},
	{wal.ErrShape, "schema"}, {wal.ErrDecode, "decode"},
}

// allKinds are what errorKind returns.
func allKinds() []string {
	kinds := []string{"redis_full", "redis", "connection"}
	for _, k := range errorKinds {
		kinds = append(kinds, k.kind)
	}
	return kinds
}

func errorKind(err error) string {
	var fromRedis redis.Error
	var reply resp.Error
	if sink.IsFull(err) {
		return "redis_full"
	}
	for _, k := range errorKinds {
		if errors.Is(err, k.err) {
			return k.kind
		}
	}
	if errors.As(err, &fromRedis) || errors.As(err, &reply) {
		return "redis"
	}
	return "connection"
}
