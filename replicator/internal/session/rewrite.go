package session

import (
	"context"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
)

// rewrite makes a Redis that was started write a new append-only file, once in each run. If a crash has cut off the
// file within a MULTI, Redis removes only the command that was cut and leaves the MULTI open
// (github.com/valkey-io/valkey, pull request 4342). The next start would execute the rest of that MULTI together with
// the write after it, or lose that write. If Redis is killed before the new file is complete, its next start cuts the
// old file correctly and fails, and the start after that works.
func (r *Replicator) rewrite(ctx context.Context) error {
	info, err := redisinfo.Read(ctx, r.redis)
	if err != nil {
		return err
	}
	if info["aof_enabled"] != "1" || info["aof_rewrites"] != "0" || info["aof_rewrite_in_progress"] != "0" {
		return nil
	}
	if err := r.redis.BgRewriteAOF(ctx).Err(); err != nil { // managed servers refuse this and handle the file themselves
		r.log.Warn("redis was started and does not rewrite its append-only file: after a crash, do that by hand (BGREWRITEAOF)", "error", err)
	}
	return nil
}

// shorten makes Redis write a new append-only file, because the old one holds the removed epochs as well. Otherwise a restart
// of Redis would read all of them, and SQL would answer all reads meanwhile.
func (r *Replicator) shorten(ctx context.Context) {
	if err := r.redis.BgRewriteAOF(ctx).Err(); err != nil && ctx.Err() == nil {
		r.log.Info("Redis does not rewrite its append-only file now", "error", err)
	}
}
