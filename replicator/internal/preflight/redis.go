package preflight

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/readmodel"
	"github.com/stock-pyramid/stock-pyramid/internal/redisinfo"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/session"
)

// redis looks at Redis.
func (r *Report) redis(ctx context.Context, s Servers, primary facts) {
	before := time.Now()
	info, err := redisinfo.Read(ctx, s.Redis)
	if err != nil {
		r.add(Fail, "start Redis, or set REDIS_URL, user and password right", "server", "%v", err)
		return
	}
	after := time.Now()
	r.redisServer(info)
	r.policy(info)
	r.persistence(ctx, s.Redis, info)
	r.memory(info, primary, r.holds(ctx, s, primary))
	r.commands(ctx, s.Redis)
	if micros := info.Number("server_time_usec"); micros > 0 {
		r.clocks(time.UnixMicro(micros).Sub(after.Add(-after.Sub(before) / 2)))
	}
}

func (r *Report) redisServer(info redisinfo.Info) {
	version := info["redis_version"]
	major, minor := numbers(version)
	switch {
	case info["cluster_enabled"] == "1":
		r.add(Fail, "use a server that is no cluster", "server", "Redis %s is a cluster", version)
	case info["role"] == "slave":
		r.add(Fail, "set REDIS_URL to its primary", "server", "Redis %s is a replica", version)
	case major < 6 || major == 6 && minor < 2:
		r.add(Fail, "use Redis 7 or later, or Valkey", "server", "Redis %s lacks commands", version)
	case major < 7:
		r.add(Warn, "use Redis 7 or later, or Valkey", "server", "Redis %s: a copy is written member by member, which takes longer", version)
	default:
		r.ok("server", "Redis %s", version)
	}
}

// numbers are the first two numbers of a version.
func numbers(version string) (major, minor int) {
	parts := strings.SplitN(version+"..", ".", 3)
	major, _ = strconv.Atoi(parts[0])
	minor, _ = strconv.Atoi(parts[1])
	return major, minor
}

func (r *Report) policy(info redisinfo.Info) {
	if info.Policy() != redisinfo.NoEviction {
		r.add(Fail, "CONFIG SET maxmemory-policy noeviction, and in redis.conf: a set that lacks members can't be trusted", "maxmemory-policy", "%s", info.Policy())
		return
	}
	r.ok("maxmemory-policy", "%s", redisinfo.NoEviction)
}

// persistence looks whether Redis keeps the read model over a restart. Without that everything is copied anew, and nothing
// is lost.
func (r *Report) persistence(ctx context.Context, client *redis.Client, info redisinfo.Info) {
	const what = "persistence"
	if info["aof_enabled"] != "1" {
		r.add(Warn, "set appendonly yes and appendfsync everysec: otherwise everything is copied anew after each restart of Redis", what, "no append-only file")
		return
	}
	if status := info["aof_last_write_status"]; status != "" && status != "ok" {
		r.add(Fail, "make room on its disk, and look at its log", what, "the append-only file can't be written (%s)", status)
		return
	}
	fsync := "appendfsync is not known, because this user may not ask for it"
	if values, err := client.ConfigGet(ctx, "appendfsync").Result(); err == nil && values["appendfsync"] != "" {
		fsync = "appendfsync " + values["appendfsync"]
	}
	level := OK
	if fsync == "appendfsync no" {
		level = Warn
	}
	r.add(level, "CONFIG SET appendfsync everysec, and in redis.conf: otherwise a crash of the machine makes everything be copied anew", what, "append-only file, %s", fsync)
}

// holds looks what is in Redis. It says whether a read model is served.
func (r *Report) holds(ctx context.Context, s Servers, primary facts) bool {
	const what = "read model"
	err := session.Mine(ctx, s.Redis, s.Pipeline)
	if err != nil {
		r.add(Fail, "set PIPELINE and REDIS_URL right: two pipelines can't share a Redis", what, "%v", err)
		return false
	}
	stored, err := s.Redis.Get(ctx, readmodel.CheckpointKey).Result()
	if errors.Is(err, redis.Nil) {
		r.ok(what, "none yet: the replicator copies everything when it starts")
		return false
	}
	if err != nil {
		r.add(Fail, "see the line about commands", what, "%v", err)
		return false
	}
	cp, err := readmodel.ParseCheckpoint(stored)
	switch {
	case err != nil:
		r.add(Warn, "nothing, if it is another release's: everything is copied anew", what, "%v", err)
	case primary.system != 0 && cp.SystemID != primary.system:
		r.add(Warn, "nothing, if that is meant: everything is copied anew; otherwise set PRIMARY_URL right", what, "it is of system %d", cp.SystemID)
	default:
		r.ok(what, "epoch %d at %s", cp.Epoch, cp.Position())
		return true
	}
	return false
}
