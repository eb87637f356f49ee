package env

import (
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
)

type config struct {
	Common
	Limit int `env:"RATE_LIMIT" envDefault:"7"`
}

func (c *config) Check() []error {
	errs := c.Common.Check()
	if c.Limit < 0 {
		errs = append(errs, errors.New("RATE_LIMIT is negative"))
	}
	return errs
}

func TestParseTakesValuesAndDefaults(t *testing.T) {
	t.Setenv("LISTEN_ADDR", "127.0.0.1:1")
	t.Setenv("ADMIN_ADDR", ":2")
	t.Setenv("LOG_LEVEL", "warn")
	c, err := Parse(&config{Common: Common{DrainDelay: FrontDoorDrain}})
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenAddr != "127.0.0.1:1" || c.AdminAddr != ":2" || c.LogLevel != slog.LevelWarn || c.Limit != 7 || c.DrainDelay != FrontDoorDrain {
		t.Errorf("parsed %+v", c)
	}
}

func TestParseReportsEverythingWrongAtOnce(t *testing.T) {
	t.Setenv("LISTEN_ADDR", "no-port")
	t.Setenv("LOG_LEVEL", "loud")
	t.Setenv("DRAIN_DELAY", "6s")
	t.Setenv("CLOCK_OFFSET", "-2h")
	t.Setenv("RATE_LIMIT", "-1")
	_, err := Parse(&config{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"LISTEN_ADDR", "ADMIN_ADDR", "LogLevel", "RATE_LIMIT", "DRAIN_DELAY", "CLOCK_OFFSET"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %s", err, want)
		}
	}
}

func TestASecretComesFromAFile(t *testing.T) {
	file := t.TempDir() + "/url"
	if err := os.WriteFile(file, []byte("redis://a:b@c/0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment, err := fromFiles(map[string]string{"REDIS_URL_FILE": file})
	if err != nil || environment["REDIS_URL"] != "redis://a:b@c/0" {
		t.Errorf("%q, %v", environment["REDIS_URL"], err)
	}
	_, err = fromFiles(map[string]string{"REDIS_URL_FILE": file, "REDIS_URL": "x", "PRIMARY_URL_FILE": file + ".none"})
	for _, name := range []string{"REDIS_URL and", "PRIMARY_URL_FILE"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
}
