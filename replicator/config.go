package main

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"

	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

type config struct {
	env.Common
	PrimaryURL string `env:"PRIMARY_URL,required"`
	RedisURL   string `env:"REDIS_URL,required"`
}

// Check makes config an env.Checker.
func (c *config) Check() []error {
	return append(c.Common.Check(), c.checkPrimary(), c.checkRedis())
}

// A parser's own message can hold the password, so none is passed on.
func (c *config) checkPrimary() error {
	if c.PrimaryURL == "" {
		return nil
	}
	if _, err := pgconn.ParseConfig(c.PrimaryURL); err != nil {
		return fmt.Errorf("PRIMARY_URL is not a PostgreSQL connection string")
	}
	return nil
}

func (c *config) checkRedis() error {
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
