package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/cors"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
	"github.com/stock-pyramid/stock-pyramid/query/internal/live"
)

type config struct {
	env.Common
	opspage.Settings // the page is on the admin listener
	// PrimaryURL is multi-host with target_session_attrs=read-write.
	PrimaryURL string `env:"PRIMARY_URL,required"`
	// ReplicaURL leads through pgpool-II, which fails clients that send target_session_attrs.
	ReplicaURL string `env:"REPLICA_URL,required"`
	// StandbyURL is multi-host with target_session_attrs=prefer-standby.
	StandbyURL    string        `env:"STANDBY_URL,required"`
	RedisURL      string        `env:"REDIS_URL,required"`
	AllowReadPath bool          `env:"ALLOW_READ_PATH" envDefault:"false"`
	MinLSNWait    time.Duration `env:"MIN_LSN_WAIT" envDefault:"100ms"`
	// LiveMax is how many subscribers of the live feed there may be, and separately how many sessions of socket.io.
	LiveMax int `env:"LIVE_MAX" envDefault:"10000"`
	// LiveAddressMax is the same for one client address.
	LiveAddressMax int `env:"LIVE_ADDRESS_MAX" envDefault:"500"`
	// RateLimit bounds the reads of a client address, see limit.Rates and api's weights. The other limits are command's.
	// Each instance counts for itself, so with N instances an address may get N times as much.
	RateLimit limit.Rates `env:"RATE_LIMIT" envDefault:"read=2000/4000"`
	// TrustedProxies are the networks whose X-Forwarded-For is believed, besides the loopback ones.
	TrustedProxies web.Proxies `env:"TRUSTED_PROXIES"`
	// Origins are those whose pages may open sessions of socket.io besides the front door's own.
	Origins cors.Origins `env:"CORS_ORIGINS"`
	// RedisMaxLag is the lag of Redis beyond which a fresher standby answers instead.
	RedisMaxLag time.Duration `env:"REDIS_MAX_LAG" envDefault:"2s"`
	// StandbyMaxLag is the lag of the standby beyond which the primary answers what only SQL can answer.
	StandbyMaxLag time.Duration `env:"STANDBY_MAX_LAG" envDefault:"10s"`
	// JWKSURL is where command publishes the keys of its tokens.
	JWKSURL string `env:"JWKS_URL"`
}

// Check reports every value that can't work. env.Parse reports missing values.
func (c *config) Check() []error {
	errs := append(c.Common.Check(), database("PRIMARY_URL", c.PrimaryURL), database("STANDBY_URL", c.StandbyURL),
		database("REPLICA_URL", c.ReplicaURL), checkRedis(c.RedisURL))
	if p, err := pgx.ParseConfig(c.ReplicaURL); err == nil && p.ValidateConnect != nil {
		errs = append(errs, errors.New("REPLICA_URL must not have target_session_attrs: it fails through pgpool-II"))
	}
	if c.MinLSNWait < 0 || c.MinLSNWait > time.Second {
		errs = append(errs, errors.New("MIN_LSN_WAIT must be from 0s to 1s"))
	}
	if c.LiveMax < 1 {
		errs = append(errs, errors.New("LIVE_MAX must be at least 1"))
	}
	if c.LiveAddressMax < 1 {
		errs = append(errs, errors.New("LIVE_ADDRESS_MAX must be at least 1"))
	}
	if c.RedisMaxLag <= 0 {
		errs = append(errs, errors.New("REDIS_MAX_LAG must be positive"))
	}
	if c.StandbyMaxLag <= 0 {
		errs = append(errs, errors.New("STANDBY_MAX_LAG must be positive"))
	}
	if u, err := url.Parse(c.JWKSURL); c.JWKSURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		errs = append(errs, errors.New("JWKS_URL is not an http or https URL"))
	}
	return errs
}

func (c *config) liveBounds() live.Bounds {
	return live.Bounds{All: c.LiveMax, OfAddress: c.LiveAddressMax, Proxies: c.TrustedProxies}
}

func database(name, value string) error {
	if value == "" {
		return nil
	}
	if _, err := pgx.ParseConfig(value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// checkRedis never repeats the value, which may hold a password.
func checkRedis(value string) error {
	if value == "" {
		return nil
	}
	if strings.Contains(value, ",") || strings.Contains(value, "addr=") {
		return errors.New("REDIS_URL names several servers: Redis Cluster is not supported yet")
	}
	if u, err := url.Parse(value); err != nil || (u.Scheme != "redis" && u.Scheme != "rediss") || u.Hostname() == "" {
		return errors.New("REDIS_URL is not of the form redis://host:port/0")
	}
	if _, err := redis.ParseURL(value); err != nil {
		return errors.New("REDIS_URL is not of the form redis://host:port/0")
	}
	return nil
}
