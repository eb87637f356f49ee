// Package env reads a service's configuration from environment variables and reports everything that
// is wrong with it at once.
package env

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/stock-pyramid/stock-pyramid/internal/clock"
)

// Common is what every service is configured with; embed it.
type Common struct {
	ListenAddr string     `env:"LISTEN_ADDR,required"`
	AdminAddr  string     `env:"ADMIN_ADDR,required"`
	LogLevel   slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// LogSample is N: one request in N is logged. Requests that failed or were slow are always logged. 0: no sample.
	LogSample int `env:"LOG_SAMPLE" envDefault:"1000"`
	// LogSlow: a request that takes longer has a line in the log. 0: none.
	LogSlow time.Duration `env:"LOG_SLOW" envDefault:"1s"`
	Traces  Traces
	// TLSFile is a PEM file with a certificate and its key. With it both listeners speak TLS only, and a new file is used
	// without a restart.
	TLSFile string `env:"TLS_FILE"`
	// DrainDelay is how long the service goes on answering after a signal, while its /readyz says 503. It must be longer
	// than the front door takes to notice. Each service sets its default before Parse.
	DrainDelay time.Duration `env:"DRAIN_DELAY"`
	// ClockOffset sets the service's wall clock wrong, for drills.
	ClockOffset time.Duration `env:"CLOCK_OFFSET"`
}

// FrontDoorDrain is the default DrainDelay of a service behind HAProxy, which notices within 1.3 s.
const FrontDoorDrain = 2 * time.Second

// Check returns an error for each value that can't work.
func (c Common) Check() []error {
	problems := append(c.Traces.Check(), address("LISTEN_ADDR", c.ListenAddr), address("ADMIN_ADDR", c.AdminAddr))
	if c.LogSample < 0 || c.LogSlow < 0 {
		problems = append(problems, fmt.Errorf("LOG_SAMPLE and LOG_SLOW must not be negative, as %d or %v is", c.LogSample, c.LogSlow))
	}
	if c.DrainDelay < 0 || c.DrainDelay > 5*time.Second {
		problems = append(problems, fmt.Errorf("DRAIN_DELAY must be from 0s to 5s, not %v", c.DrainDelay))
	}
	if c.ClockOffset < -time.Hour || c.ClockOffset > time.Hour {
		problems = append(problems, fmt.Errorf("CLOCK_OFFSET must be from -1h to 1h, not %v", c.ClockOffset))
	}
	return problems
}

// Clock is the service's wall clock.
func (c Common) Clock() clock.Clock { return clock.Clock{Offset: c.ClockOffset} }

// Checker is a configuration that knows what values can work.
type Checker interface {
	// Check returns an error (or nil) for each rule that it tried.
	Check() []error
}

// Parse fills a configuration whose fields carry `env` tags (see caarlos0/env) and checks it, after LoadFile. The
// error has a line for each variable that is missing, malformed or fails its check.
func Parse[T Checker](config T) (T, error) {
	if err := LoadFile(); err != nil {
		return config, err
	}
	var problems []error
	environment, err := fromFiles(env.ToMap(os.Environ()))
	if err != nil {
		problems = append(problems, err)
	}
	if err := env.ParseWithOptions(config, env.Options{Environment: environment}); err != nil {
		var all env.AggregateError
		if !errors.As(err, &all) {
			return config, err
		}
		problems = append(problems, all.Errors...)
	}
	for _, err := range config.Check() {
		if err != nil {
			problems = append(problems, err)
		}
	}
	if len(problems) == 0 {
		return config, nil
	}
	lines := make([]string, 0, len(problems))
	for _, err := range problems {
		lines = append(lines, "  "+err.Error())
	}
	return config, fmt.Errorf("configuration:\n%s", strings.Join(lines, "\n"))
}

// address accepts an empty value, because a missing variable is already reported as missing.
func address(name, value string) error {
	if value == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(value); err != nil {
		return fmt.Errorf("%s is not host:port: %w", name, err)
	}
	return nil
}

// secrets are the variables that hold passwords. Each may be in a file instead, which NAME_FILE names.
var secrets = []string{"PRIMARY_URL", "REPLICA_URL", "STANDBY_URL", "REDIS_URL"}

// fromFiles adds the variables that are in files.
func fromFiles(environment map[string]string) (map[string]string, error) {
	var problems []error
	for _, name := range secrets {
		file := environment[name+"_FILE"]
		switch {
		case file == "":
			continue
		case environment[name] != "":
			problems = append(problems, fmt.Errorf("%s and %s_FILE are both set", name, name))
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s_FILE: %w", name, err))
		}
		environment[name] = strings.TrimSpace(string(text))
	}
	return environment, errors.Join(problems...)
}
