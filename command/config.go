package main

import (
	"fmt"
	"runtime"
	"time"

	"github.com/stock-pyramid/stock-pyramid/command/internal/bid"
	"github.com/stock-pyramid/stock-pyramid/command/internal/primary"
	"github.com/stock-pyramid/stock-pyramid/internal/env"
	"github.com/stock-pyramid/stock-pyramid/internal/limit"
	"github.com/stock-pyramid/stock-pyramid/internal/web"
)

// Config is the environment of the service.
type Config struct {
	env.Common
	// PrimaryURL may name several hosts, see primary.ParseURL.
	PrimaryURL string `env:"PRIMARY_URL,required"`
	// JWTKeysDir holds the signing keys, for all instances. If it holds none, the service makes one.
	JWTKeysDir string        `env:"JWT_KEYS_DIR,required"`
	TokenTTL   time.Duration `env:"TOKEN_TTL" envDefault:"1h"`
	// RefreshTTL is how long after a login its refresh tokens are good. To trade one does not make it longer.
	RefreshTTL time.Duration `env:"REFRESH_TTL" envDefault:"720h"`
	// BidLanes is bid.Limits.Lanes.
	BidLanes int `env:"BID_LANES" envDefault:"4"`
	// BidQueue is how many bids may wait before further ones are answered 503 at once. Raffles with few waiting bids
	// may exceed it by a quarter.
	BidQueue int `env:"BID_QUEUE" envDefault:"2048"`
	// RateLimit bounds users, client addresses and logins, see limit.Rates. A rate that the list does not name has no
	// limit. Each instance counts for itself, so with N instances a client may get N times as much.
	RateLimit limit.Rates `env:"RATE_LIMIT" envDefault:"login=0.5/20,login-address=5/100"`
	// LoginCores is how many cores the checks of passwords may take. 0 means a quarter of all.
	LoginCores float64 `env:"LOGIN_CORES"`
	// TrustedProxies are the networks whose X-Forwarded-For is trusted. Loopback addresses always are.
	TrustedProxies web.Proxies `env:"TRUSTED_PROXIES"`
}

func (c *Config) limits() bid.Limits {
	l := bid.DefaultLimits
	l.Lanes, l.Queue = c.BidLanes, c.BidQueue
	return l
}

// loginCores are the cores that checks of passwords may take.
func (c *Config) loginCores() float64 {
	if c.LoginCores > 0 {
		return c.LoginCores
	}
	return float64(runtime.GOMAXPROCS(0)) / 4
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
	if c.RefreshTTL < time.Second || c.RefreshTTL > 365*24*time.Hour {
		problems = append(problems, fmt.Errorf("REFRESH_TTL must be 1s to 8760h, not %v", c.RefreshTTL))
	}
	if c.BidLanes < 1 || c.BidLanes > 64 {
		problems = append(problems, fmt.Errorf("BID_LANES must be 1 to 64, not %d", c.BidLanes))
	}
	if c.BidQueue < 1 || c.BidQueue > 1_000_000 {
		problems = append(problems, fmt.Errorf("BID_QUEUE must be 1 to 1000000, not %d", c.BidQueue))
	}
	if !(c.LoginCores >= 0 && c.LoginCores <= 1024) {
		problems = append(problems, fmt.Errorf("LOGIN_CORES must be 0 to 1024, not %v", c.LoginCores))
	}
	return problems
}
