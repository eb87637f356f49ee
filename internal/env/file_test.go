package env

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func envFile(t *testing.T, text string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ENV_FILE", path)
}

func TestAFileAddsWhatTheEnvironmentLacks(t *testing.T) {
	t.Setenv("LISTEN_ADDR", "127.0.0.1:1")
	t.Setenv("ADMIN_ADDR", "")
	t.Setenv("RATE_LIMIT", "")
	for _, name := range []string{"ADMIN_ADDR", "RATE_LIMIT"} {
		if err := os.Unsetenv(name); err != nil { // Setenv above puts it back
			t.Fatal(err)
		}
	}
	envFile(t, "LISTEN_ADDR='127.0.0.1:3'\nADMIN_ADDR='127.0.0.1:2'\n\nRATE_LIMIT='9'\n")
	c, err := Parse(&config{})
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenAddr != "127.0.0.1:1" || c.AdminAddr != "127.0.0.1:2" || c.Limit != 9 {
		t.Errorf("parsed %+v", c)
	}
}

func TestAWrongFileIsReported(t *testing.T) {
	for _, text := range []string{"NAME=value\n", "NAME\n", "NAME='value\n"} {
		envFile(t, text)
		if _, err := Parse(&config{}); err == nil || !strings.Contains(err.Error(), "ENV_FILE") {
			t.Errorf("%q: %v", text, err)
		}
	}
	t.Setenv("ENV_FILE", "/nowhere")
	if _, err := Parse(&config{}); err == nil || !strings.Contains(err.Error(), "ENV_FILE") {
		t.Errorf("no file: %v", err)
	}
}
