package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/auth"
	"github.com/stock-pyramid/stock-pyramid/query/internal/api"
	"github.com/stock-pyramid/stock-pyramid/query/internal/bidbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/live"
	"github.com/stock-pyramid/stock-pyramid/query/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/query/internal/redisbook"
	"github.com/stock-pyramid/stock-pyramid/query/internal/sqlbook"
)

type backends struct {
	chain   *bidbook.Chain
	primary *primary.Watch
	trust   *redisbook.Trust
	book    *redisbook.Redis
	feed    *live.Hub
	redis   *redis.Client // of the trust check and the feed
	keys    *auth.Remote  // nil without a JWKS_URL
	pools   []*pgxpool.Pool

	verifier *auth.Verifier
}

// openBackends does not connect yet, so that the service starts while any backend is down.
func openBackends(c *config, log *slog.Logger, reg prometheus.Registerer) (*backends, error) {
	client, err := redisbook.NewClient(c.RedisURL)
	if err != nil {
		return nil, err
	}
	b := &backends{redis: client, feed: live.NewHub(client, api.AppendEvent, c.liveBounds(), log, reg)}
	b.feed.Clock = c.Clock()
	if b.primary, err = primary.NewWatch(c.PrimaryURL, c.StandbyURL, log, reg); err != nil {
		return nil, err
	}
	if c.JWKSURL != "" {
		b.keys = auth.NewRemote(c.JWKSURL, log)
		b.verifier = auth.NewVerifier(b.keys, c.Clock().Now)
	}
	if b.pools, err = openPools(c, b.primary, reg); err != nil {
		return nil, err
	}
	replica, standby, first := b.pools[0], b.pools[1], b.pools[2]
	b.trust = redisbook.NewTrust(client, b.primary, log, reg)
	if b.book, err = redisbook.New(c.RedisURL, b.trust, b.primary, reg); err != nil {
		return nil, err
	}
	b.book.Clock = c.Clock()
	b.chain = bidbook.NewChain(bidbook.Paths{
		Redis:   b.book,
		Replica: sqlbook.New(replica, bidbook.PathReplica, b.primary),
		Standby: sqlbook.New(standby, bidbook.PathStandby, b.primary),
		Primary: sqlbook.New(first, bidbook.PathPrimary, b.primary),
		Scan:    sqlbook.New(b.pools[3], bidbook.PathScan, b.primary),
	}, b.primary, bidbook.Staleness{MinLSN: c.MinLSNWait, RedisLag: c.RedisMaxLag, StandbyLag: c.StandbyMaxLag}, log, reg)
	b.feed.Closing = api.Closing(b.chain)
	return b, nil
}

// openPools makes the pools of the paths replica, standby, primary and scan, in this order, and registers their metrics.
func openPools(c *config, w *primary.Watch, reg prometheus.Registerer) (pools []*pgxpool.Pool, err error) {
	states := poolStates{}
	for _, p := range []struct {
		name, url string
		size      int
		budget    time.Duration
	}{
		{"replica", c.ReplicaURL, bidbook.ReplicaConns, bidbook.SQLBudget}, {"standby", c.StandbyURL, bidbook.StandbyConns, bidbook.SQLBudget},
		{"primary", c.PrimaryURL, bidbook.PrimaryConns, bidbook.SQLBudget}, {"scan", c.StandbyURL, bidbook.ScanConns, bidbook.ScanBudget},
	} {
		var options []func(*pgxpool.Config)
		if p.name == "primary" {
			options = append(options, w.Lead)
		}
		pool, err := sqlbook.NewPool(p.url, int32(bidbook.Conns(p.size)), p.budget, options...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		pools, states[p.name] = append(pools, pool), pool
	}
	return pools, reg.Register(states)
}

// closeTime bounds the closing of the pools, because a connection whose server hangs takes 15 s to close (pgx waits
// for its cancel request).
const closeTime = 500 * time.Millisecond

// close closes the pools that close in time. The end of the process closes the others.
func (b *backends) close() error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for _, p := range b.pools {
			p.Close()
		}
	}()
	select {
	case <-closed:
	case <-time.After(closeTime):
	}
	b.book.Close()
	return b.redis.Close()
}
