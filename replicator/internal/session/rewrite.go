package session

import (
	"context"

	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
)

// rewrite has a Redis that was started begin its append-only file anew, once in each run. When a crash has cut the file
// off within a MULTI, Redis takes away only the command that was cut and leaves the MULTI open
// (github.com/valkey-io/valkey, pull request 4342). The next start would execute what is left of it together with the
// flush after it, or lose that flush. Redis that is killed before the new file is there cuts the old one right at its next
// start, which fails; the start after that works.
func (r *Replicator) rewrite(ctx context.Context) error {
	info, err := redisinfo.Read(ctx, r.redis)
	if err != nil {
		return err
	}
	if info["aof_enabled"] != "1" || info["aof_rewrites"] != "0" || info["aof_rewrite_in_progress"] != "0" {
		return nil
	}
	if err := r.redis.BgRewriteAOF(ctx).Err(); err != nil { // managed servers refuse it and have files of their own
		r.log.Warn("redis was started and does not rewrite its append-only file: after a crash, do that by hand (BGREWRITEAOF)", "error", err)
	}
	return nil
}
