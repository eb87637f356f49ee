package env

import (
	"fmt"
	"os"
	"strings"
)

// LoadFile adds the variables of the file that ENV_FILE names, a line of NAME='value' each, to the environment of the
// process. A variable that is already set stays. The file holds settings. No file that deploy/render writes for ENV_FILE holds
// a secret: passwords and keys are in files of their own, which PGPASSFILE, REDIS_URL_FILE, TLS_FILE and JWT_KEYS_DIR name.
func LoadFile() error {
	path := os.Getenv("ENV_FILE")
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("ENV_FILE: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok && name == "" {
			continue
		}
		value, quoted := strings.CutPrefix(value, "'")
		value, closed := strings.CutSuffix(value, "'")
		if !ok || !quoted || !closed {
			return fmt.Errorf("ENV_FILE: %s has a line that is not NAME='value'", path)
		}
		if _, set := os.LookupEnv(name); set {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("ENV_FILE: %w", err)
		}
	}
	return nil
}
