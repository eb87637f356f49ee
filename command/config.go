package main

import (
	"fmt"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
)

// Config is the environment of the service.
type Config struct {
	env.Common
	// PrimaryURL may name several hosts, see primary.ParseURL.
	PrimaryURL string `env:"PRIMARY_URL,required"`
	// JWTKeysDir holds the signing keys; the first one is made if there is none.
	JWTKeysDir string        `env:"JWT_KEYS_DIR,required"`
	TokenTTL   time.Duration `env:"TOKEN_TTL" envDefault:"1h"`
}

// Check implements env.Checker.
func (c *Config) Check() []error {
	problems := c.Common.Check()
	if c.PrimaryURL != "" {
		if _, err := primary.ParseURL(c.PrimaryURL); err != nil {
			problems = append(problems, fmt.Errorf("PRIMARY_URL: %w", err))
		}
	}
	if c.TokenTTL < time.Second || c.TokenTTL > 24*time.Hour {
		problems = append(problems, fmt.Errorf("TOKEN_TTL must be 1s to 24h, not %v", c.TokenTTL))
	}
	return problems
}
