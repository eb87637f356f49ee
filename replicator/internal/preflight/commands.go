package preflight

import (
	"context"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
)

// The keys that stand for all that the replicator writes.
var writtenKeys = []string{readmodel.CheckpointKey, readmodel.Epoch(0).Newest(0, 1), readmodel.Epoch(0).SizeNewest(1), readmodel.Epoch(0).Raffles(),
	readmodel.Epoch(0).Products(), readmodel.Epoch(0).AllSizes()}

// needed are the commands that the replicator sends, also in its scripts. K stands for a key.
const needed = `GET K|MGET K|DEL K|UNLINK K|EXISTS K|TYPE K|SETNX K v|SADD K m|SREM K m|SMEMBERS K|SISMEMBER K m|SMISMEMBER K m|SCARD K|SUNION K|SSCAN K 0|
HSET K f v|HDEL K f|HGET K f|HEXISTS K f|HGETALL K|HMGET K f|HLEN K|HSCAN K 0|ZADD K 1 m|ZREM K m|ZRANGE K 0 1|ZCARD K|ZCOUNT K 0 1|ZSCORE K m|ZRANK K m|ZREVRANK K m|
ZREMRANGEBYRANK K 0 1|XADD K * f v|XRANGE K - +|SCAN 0|EVAL return 1 K|EVALSHA 0 1 K|INFO`

// useful are commands without which something is slower or has to be done by hand.
var useful = []struct{ command, without string }{
	{"RESTORE K 0 v", "RESTORE: a copy takes several times as long"},
	{"BGREWRITEAOF", "BGREWRITEAOF: after a crash of Redis it has to be given by hand"},
}

// commands looks whether the user may send all commands. They are queued in a MULTI, which Redis checks, and discarded, so
// that none is executed.
func (r *Report) commands(ctx context.Context, client *redis.Client) {
	const what, do = "commands", "ACL SETUSER: deploy/redis/users.acl has what the user replicator needs"
	conn := client.Conn()
	defer conn.Close()
	if err := conn.Do(ctx, "MULTI").Err(); err != nil {
		r.add(Fail, do, what, "MULTI: %v", err)
		return
	}
	var refused, missed []string
	for _, key := range writtenKeys {
		if !allowed(ctx, conn, "SET K v", key) {
			refused = append(refused, "SET of "+key)
		}
	}
	for command := range strings.SplitSeq(strings.ReplaceAll(needed, "\n", ""), "|") {
		if !allowed(ctx, conn, command, writtenKeys[1]) {
			name, _, _ := strings.Cut(command, " ")
			refused = append(refused, name)
		}
	}
	for _, u := range useful {
		if !allowed(ctx, conn, u.command, writtenKeys[1]) {
			missed = append(missed, u.without)
		}
	}
	err := conn.Do(ctx, "DISCARD").Err()
	switch {
	case err != nil:
		r.add(Fail, do, what, "DISCARD: %v", err)
	case len(refused) > 0:
		r.add(Fail, do, what, "this user may not send %s", strings.Join(refused, ", "))
	case len(missed) > 0:
		r.add(Warn, do, what, "this user may not send %s", strings.Join(missed, "; "))
	default:
		r.ok(what, "all are allowed, on all keys of the read model")
	}
}

// allowed says whether Redis queues a command.
func allowed(ctx context.Context, conn *redis.Conn, command, key string) bool {
	var arguments []any
	for _, word := range strings.Fields(command) {
		if word == "K" {
			word = key
		}
		arguments = append(arguments, word)
	}
	err := conn.Do(ctx, arguments...).Err()
	return err == nil || !strings.HasPrefix(err.Error(), "NOPERM") && !strings.HasPrefix(err.Error(), "ERR unknown command")
}
