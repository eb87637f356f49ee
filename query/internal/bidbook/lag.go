package bidbook

import (
	"context"
	"sync"
	"time"

	"github.com/stock-pyramid/stock-pyramid/internal/sleep"
)

// lagEvery is how often the chain decides whether reads leave a lagging Redis. followEvery is how often the chain asks a
// standby that is not believed yet. It is longer, because each question to a frozen standby costs a connection.
const (
	lagEvery    = 100 * time.Millisecond
	followEvery = time.Second
)

// Watch decides again and again whether Redis lags so much that fresher standbys answer instead, until ctx ends. One
// decision serves all reads. Watch also asks the standbys which history they follow, before a read needs them, and
// measures all these paths for the metrics.
func (c *Chain) Watch(ctx context.Context) error {
	var measuring sync.WaitGroup
	for _, p := range c.paths[1:3] {
		measuring.Go(func() { c.measure(ctx, p) })
	}
	defer measuring.Wait()
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	shown, asked := map[Path]uint64{}, time.Time{}
	for {
		if time.Since(asked) > followEvery {
			asked = time.Now()
			c.follow(ctx, shown)
		}
		was := c.left.Load()
		now := c.lagging(ctx, was != nil)
		c.left.Store(now)
		if (was == nil) != (now == nil) && ctx.Err() == nil {
			c.log.WarnContext(ctx, "redis lags and is left for a fresher standby", "left", now != nil)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// follow asks the standbys that have not been believed yet since the primary was started, so that they are known if
// the primary dies.
func (c *Chain) follow(ctx context.Context, shown map[Path]uint64) {
	generation := c.primary.State().Generation
	for _, p := range c.paths[1:3] {
		if shown[p.name] == generation || p.open() {
			continue
		}
		if _, err := c.probe(ctx, p); err == nil {
			shown[p.name] = generation
		}
	}
}

// lagging returns where Redis stands if reads are to leave it, otherwise nil. If Redis fails, each read leaves it by
// itself.
func (c *Chain) lagging(ctx context.Context, was bool) *Position {
	redis, err := c.probe(ctx, c.paths[0])
	c.metrics.probed(PathRedis, redis, err)
	if err != nil || !lags(redis, c.staleness.RedisLag, was) {
		return nil
	}
	for _, p := range c.paths[1:3] {
		if p.open() {
			continue
		}
		if at, err := c.probe(ctx, p); err == nil && at.Beat.Number > redis.Beat.Number {
			return &redis
		}
	}
	return nil
}

// measureEvery is how often a path to the standby is measured, and awayEvery how often one that does not answer, because
// each question to a frozen server costs a connection.
const (
	measureEvery = time.Second
	awayEvery    = 4 * time.Second
)

// measure asks a path where it stands, whether or not reads use it, until ctx ends.
func (c *Chain) measure(ctx context.Context, p *path) {
	for {
		at, err := c.probe(ctx, p)
		if ctx.Err() != nil {
			return
		}
		c.metrics.probed(p.name, at, err)
		pause := measureEvery
		if err != nil {
			pause = awayEvery
		}
		if sleep.For(ctx, pause) != nil {
			return
		}
	}
}

// lags says whether an answer is too old. If the last one was, the limit is halved, so that the decision does not
// change with each heartbeat.
func lags(at Position, limit time.Duration, was bool) bool {
	if was {
		limit /= 2
	}
	return time.Duration(at.LagMillis)*time.Millisecond > limit
}

func (c *Chain) probe(ctx context.Context, p *path) (Position, error) {
	ctx, cancel := context.WithTimeout(ctx, p.budget)
	defer cancel()
	return p.reader.Probe(ctx)
}
