package main

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/opspage"
	"github.com/stock-pyramid/stock-pyramid/replicator/internal/wal"
)

// config is the configuration of `run`.
type config struct {
	env.Common
	Stores
	Named
	VerifyInterval time.Duration `env:"VERIFY_INTERVAL" envDefault:"30s"`
	opspage.Settings
	// JWKSURL is where command publishes the keys of its tokens. Without it browsers can ask for nothing.
	JWKSURL string `env:"JWKS_URL"`
}

// Named is the name of the pipeline.
type Named struct {
	Pipeline wal.Pipeline `env:"PIPELINE"`
}

// Check makes Named an env.Checker.
func (n Named) Check() []error {
	err := n.Pipeline.Check()
	if err != nil {
		err = fmt.Errorf("PIPELINE: %w", err)
	}
	return []error{err}
}

// Check makes config an env.Checker.
func (c *config) Check() []error {
	problems := slices.Concat(c.Common.Check(), c.Stores.Check(), c.Named.Check())
	if c.VerifyInterval != 0 && c.VerifyInterval < 100*time.Millisecond {
		problems = append(problems, fmt.Errorf("VERIFY_INTERVAL is %s, want 0 (off) or at least 100ms", c.VerifyInterval))
	}
	if u, err := url.Parse(c.JWKSURL); c.JWKSURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		problems = append(problems, errors.New("JWKS_URL is not an http or https URL"))
	}
	return problems
}

// Stores are the primary and the Redis.
type Stores struct {
	PrimaryURL string `env:"PRIMARY_URL,required"`
	RedisURL   string `env:"REDIS_URL,required"`
}

// Check makes Stores an env.Checker.
func (c Stores) Check() []error { return []error{c.checkPrimary(), c.checkRedis()} }

// checkPrimary does not pass on the parser's message, because it can hold the password.
func (c Stores) checkPrimary() error {
	if c.PrimaryURL == "" {
		return nil
	}
	if _, err := pgconn.ParseConfig(c.PrimaryURL); err != nil {
		return fmt.Errorf("PRIMARY_URL is not a PostgreSQL connection string")
	}
	return nil
}

func (c Stores) checkRedis() error {
	if c.RedisURL == "" {
		return nil
	}
	if strings.Contains(c.RedisURL, ",") {
		return fmt.Errorf("REDIS_URL has several addresses: Redis Cluster is not supported yet")
	}
	if _, err := redis.ParseURL(c.RedisURL); err != nil {
		return fmt.Errorf("REDIS_URL is not redis://host:port/database")
	}
	return nil
}

// options returns the options of Redis. Each caller gets its own.
func (c Stores) options() (*redis.Options, error) {
	options, err := redis.ParseURL(c.RedisURL)
	if err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	return options, nil
}
